"""Rows of the subjects that receivers added to their streams or removed from them.

Each change writes the subject's row anew, so its number says which of two changes came later.
`ssf.rules.subject_projections` says how complex subjects are found; nothing here reads a list.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
    values,
)
from sqlalchemy import (
    true as sql_true,
)

from ssf.protocol.subjects import Subject, parse_subject
from ssf.rules.subject_membership import Membership
from ssf.rules.subject_projections import (
    SIMPLE,
    ProjectionLookup,
    all_projections,
    lookups,
    shape_of,
    whole_projection,
)
from ssf.store.database import Connection, insert_or
from ssf.store.schema import (
    deleted_targets,
    routes,
    subject_projections,
    subject_shapes,
    subjects,
    targets,
)

_BATCH = 1_000

_PURGED_AT_ONCE = 100
"""Each may have 256 projections, and on SQLite every publish waits while they are deleted."""


async def count_subjects(connection: Connection, target_id: int) -> int:
    """How many subjects a target has in its list, removed ones included."""
    found = await connection.execute(
        select(func.coalesce(func.sum(subject_shapes.c.subjects), 0)).where(
            subject_shapes.c.target_id == target_id
        )
    )
    return int(found.scalar_one())


async def count_shapes(connection: Connection, target_id: int) -> int:
    """How many shapes the complex subjects of a target have."""
    found = await connection.execute(
        select(func.count()).where(
            subject_shapes.c.target_id == target_id,
            subject_shapes.c.shape != SIMPLE,
            subject_shapes.c.subjects > 0,
        )
    )
    return int(found.scalar_one())


async def add_subject(
    connection: Connection, target_id: int, subject: Subject, *, is_verified: bool, now: int
) -> None:
    """Writes that the receiver added a subject, whatever it had said of it before."""
    await _lock_count(connection, target_id, subject)
    await _take_away(connection, target_id, subject)
    await _write(
        connection,
        target_id,
        subject,
        projections=all_projections(subject),
        is_added=True,
        is_verified=is_verified,
        removal_at=None,
        now=now,
    )


async def remove_subject(
    connection: Connection, target_id: int, subject: Subject, *, removal_at: int, now: int
) -> bool:
    """Writes that the receiver removed a subject from a stream that holds all others.

    A removal that came before goes on: saying it again neither ends nor prolongs its grace. One
    that was added keeps its row, with the number that it has, until the removal comes.

    Args:
        removal_at: Microseconds UTC from which on it counts as removed.

    Returns:
        Whether the list said something of the subject before.
    """
    await _lock_count(connection, target_id, subject)
    of_subject = and_(subjects.c.subject_key == subject.key, subjects.c.target_id == target_id)
    earlier = await connection.scalar(
        select(subjects.c.removal_at).where(of_subject, ~subjects.c.is_added)
    )
    if earlier is not None:
        removal_at = min(earlier, removal_at)
    is_ending = False
    if removal_at > now:
        ending = await connection.execute(
            update(subjects)
            .where(of_subject, subjects.c.is_added)
            .values(
                removal_at=func.coalesce(subjects.c.removal_at, removal_at),
                purge_at=func.coalesce(subjects.c.purge_at, removal_at),
                changed_at=now,
            )
        )
        is_ending = ending.rowcount > 0
    gone = await _take_away(connection, target_id, subject, removals_only=removal_at > now)
    await _write(
        connection,
        target_id,
        subject,
        projections=whole_projection(subject),
        is_added=False,
        is_verified=False,
        removal_at=removal_at,
        now=now,
    )
    return is_ending or gone > 0


async def drop_subject(
    connection: Connection, target_id: int, subject: Subject, *, removal_at: int, now: int
) -> None:
    """Takes a subject out of the list of a stream that holds listed subjects only.

    One that is not in the list stays so. Until `removal_at` it counts as added.
    """
    if removal_at <= now:
        await _lock_count(connection, target_id, subject)
        await _take_away(connection, target_id, subject)
        await _forget_empty(connection, target_id, shape_of(subject))
        return
    await connection.execute(
        update(subjects)
        .where(
            subjects.c.subject_key == subject.key,
            subjects.c.target_id == target_id,
            subjects.c.is_added,
            subjects.c.removal_at.is_(None),
        )
        .values(removal_at=removal_at, purge_at=removal_at, changed_at=now)
    )


async def _lock_count(connection: Connection, target_id: int, subject: Subject) -> None:
    """Comes before any change of a list: its row is what two requests about one list wait for."""
    await connection.execute(
        insert_or(connection, subject_shapes)
        .values(target_id=target_id, shape=shape_of(subject), subjects=0)
        .on_conflict_do_update(
            index_elements=["target_id", "shape"],
            set_={"subjects": subject_shapes.c.subjects},
        )
    )


async def _forget_empty(connection: Connection, target_id: int, shape: str) -> None:
    """Deletes the count of a shape that no subject has: every publish reads all of them."""
    await connection.execute(
        delete(subject_shapes).where(
            subject_shapes.c.target_id == target_id,
            subject_shapes.c.shape == shape,
            subject_shapes.c.subjects == 0,
        )
    )


async def _take_away(
    connection: Connection, target_id: int, subject: Subject, *, removals_only: bool = False
) -> int:
    """Deletes the rows of a subject, of which there are two at most; returns how many it was."""
    query = delete(subjects).where(
        subjects.c.subject_key == subject.key, subjects.c.target_id == target_id
    )
    if removals_only:
        query = query.where(~subjects.c.is_added)
    gone = await connection.execute(query)
    if gone.rowcount:
        await _count(connection, target_id, subject, -gone.rowcount)
    return gone.rowcount


async def _count(connection: Connection, target_id: int, subject: Subject, by: int) -> None:
    await connection.execute(
        update(subject_shapes)
        .where(subject_shapes.c.target_id == target_id, subject_shapes.c.shape == shape_of(subject))
        .values(subjects=subject_shapes.c.subjects + by)
    )


async def _write(
    connection: Connection,
    target_id: int,
    subject: Subject,
    *,
    projections: Sequence[bytes],
    is_added: bool,
    is_verified: bool,
    removal_at: int | None,
    now: int,
) -> None:
    written = await connection.execute(
        insert(subjects)
        .values(
            target_id=target_id,
            subject_key=subject.key,
            identifier=json.dumps(subject.identifier, ensure_ascii=False, separators=(",", ":")),
            is_added=is_added,
            is_verified=is_verified,
            removal_at=removal_at,
            changed_at=now,
        )
        .returning(subjects.c.id)
    )
    subject_id = written.scalar_one()
    await _count(connection, target_id, subject, 1)
    if projections:
        await connection.execute(
            insert(subject_projections),
            [
                {"target_id": target_id, "projection_key": key, "subject_id": subject_id}
                for key in projections
            ],
        )


# ------------------------------------------------------------------ what a list says of an event

_NOW: BindParameter[int] = bindparam("now")
_IS_ADDED = and_(
    subjects.c.is_added, or_(subjects.c.removal_at.is_(None), subjects.c.removal_at > _NOW)
)
_IS_REMOVED = and_(~subjects.c.is_added, subjects.c.removal_at <= _NOW)

_ROUTED = and_(
    routes.c.project_id == bindparam("project_id"),
    routes.c.event_type == bindparam("event_type"),
    routes.c.default_subjects.in_(["ALL", "NONE"]),
)

_BY_KEY = (
    select(subjects.c.target_id, subjects.c.id, _IS_ADDED.label("added"), _IS_REMOVED.label("gone"))
    .join(routes, and_(routes.c.target_id == subjects.c.target_id, _ROUTED))
    .where(subjects.c.subject_key == bindparam("key"))
)

_ITSELF = select(targets.c.id, literal(0), sql_true(), null()).where(
    targets.c.name == bindparam("name"), targets.c.project_id == bindparam("project_id")
)
"""A stream's own subject is always in the stream (SSF 1.0 §8.1.4.1)."""

_BY_KEY_OR_NAME = union_all(_BY_KEY, _ITSELF)

_SHAPES = (
    select(subject_shapes.c.shape)
    .distinct()
    .join(routes, and_(routes.c.target_id == subject_shapes.c.target_id, _ROUTED))
    .where(subject_shapes.c.shape != SIMPLE, subject_shapes.c.subjects > 0)
)


async def memberships(
    connection: Connection, *, project_id: int, event_type: str, subject: Subject, now: int
) -> Mapping[int, Membership]:
    """What the lists of a project's targets say of an event, by target.

    Targets that do not get such events, or whose list says nothing of the subject, are left out.
    """
    routed = {"project_id": project_id, "event_type": event_type, "now": now}
    if subject.members:
        return await _memberships_of_complex(connection, routed, subject)
    named = {"key": subject.key}
    query: Any = _BY_KEY
    if subject.format == "opaque":
        query, named["name"] = _BY_KEY_OR_NAME, subject.identifier["id"]
    found = await connection.execute(query, {**routed, **named})
    said: dict[int, Membership] = {}
    for target_id, subject_id, added, gone in found:
        before = said.get(target_id, Membership())
        said[target_id] = Membership(
            added=_later(before.added, subject_id if added else None),
            removed=_later(before.removed, subject_id if gone else None),
        )
    return said


async def _memberships_of_complex(
    connection: Connection, routed: Mapping[str, Any], subject: Subject
) -> Mapping[int, Membership]:
    shapes = list((await connection.execute(_SHAPES, routed)).scalars())
    said: dict[int, Membership] = {}
    wanted = list(lookups(subject, shapes).items())
    for start in range(0, len(wanted), _BATCH):
        query = _by_projection(wanted[start : start + _BATCH])
        for target_id, added, removed in await connection.execute(query, routed):
            before = said.get(target_id, Membership())
            said[target_id] = Membership(
                added=_later(before.added, added), removed=_later(before.removed, removed)
            )
    return said


def _later(one: int | None, other: int | None) -> int | None:
    return max((number for number in (one, other) if number is not None), default=None)


def _by_projection(wanted: Sequence[tuple[str, ProjectionLookup]]) -> Select[Any]:
    """For each target and shape, the latest subject that was added and one that was removed."""
    lookup = (
        values(
            column("shape", Text),
            column("lookup_key", LargeBinary),
            column("is_whole", Boolean),
            name="lookup",
        )
        .data([(shape, one.key, one.is_whole) for shape, one in wanted])
        .cte("lookup")
    )

    def latest(condition: Any) -> Any:
        return (
            select(subject_projections.c.subject_id)
            .join(subjects, subjects.c.id == subject_projections.c.subject_id)
            .where(
                subject_projections.c.target_id == subject_shapes.c.target_id,
                subject_projections.c.projection_key == lookup.c.lookup_key,
                condition,
            )
            .order_by(subject_projections.c.subject_id.desc())
            .limit(1)
            .correlate(subject_shapes, lookup)
            .scalar_subquery()
        )

    return (
        select(
            subject_shapes.c.target_id,
            latest(_IS_ADDED),
            latest(and_(lookup.c.is_whole, _IS_REMOVED)),
        )
        .join(lookup, lookup.c.shape == subject_shapes.c.shape)
        .join(routes, and_(routes.c.target_id == subject_shapes.c.target_id, _ROUTED))
        .where(subject_shapes.c.subjects > 0)
    )


# ------------------------------------------------------------------ for operators


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSubject:
    """A subject in a stream's list.

    Attributes:
        id: Row number.
        identifier: As the receiver wrote it, JSON text.
        is_added: Whether the receiver added it.
        is_verified: What the receiver said when it added it (SSF 1.0 §8.1.3.2).
        removal_at: Microseconds UTC from which on it counts as removed, or None.
        changed_at: Microseconds UTC.
    """

    id: int
    identifier: str
    is_added: bool
    is_verified: bool
    removal_at: int | None
    changed_at: int


async def page_of_subjects(
    connection: Connection, target_id: int, *, after_id: int, limit: int
) -> Sequence[ListedSubject]:
    """A page of a target's list, in the order of their last change."""
    found = await connection.execute(
        select(subjects)
        .where(subjects.c.target_id == target_id, subjects.c.id > after_id)
        .order_by(subjects.c.id)
        .limit(limit)
    )
    return [_listed(row) for row in found]


async def find_subjects(
    connection: Connection, subject_ids: Sequence[int]
) -> Mapping[int, ListedSubject]:
    """Subjects by their row numbers; those that were changed or taken out since are left out."""
    if not subject_ids:
        return {}
    found = await connection.execute(select(subjects).where(subjects.c.id.in_(subject_ids)))
    return {row.id: _listed(row) for row in found}


def _listed(row: Any) -> ListedSubject:
    return ListedSubject(
        id=row.id,
        identifier=row.identifier,
        is_added=row.is_added,
        is_verified=row.is_verified,
        removal_at=row.removal_at,
        changed_at=row.changed_at,
    )


# ------------------------------------------------------------------ what is left over


async def is_any_to_purge(connection: Connection, *, now: int) -> bool:
    """Whether `purge_subjects` would find something."""
    found = await connection.execute(
        select(
            or_(
                select(subjects.c.id).where(subjects.c.purge_at <= now).exists(),
                select(deleted_targets.c.target_id).exists(),
            )
        )
    )
    return bool(found.scalar_one())


async def purge_subjects(connection: Connection, *, now: int) -> int:
    """Deletes some subjects whose removal has come, or whose target is gone.

    Returns:
        How many; 0 when nothing is left to be done.
    """
    due = await connection.execute(
        select(subjects.c.id, subjects.c.target_id, subjects.c.identifier)
        .where(subjects.c.purge_at <= now)
        .order_by(subjects.c.purge_at)
        .limit(_PURGED_AT_ONCE)
    )
    of_lists: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in due:
        shape = shape_of(parse_subject(json.loads(row.identifier)))
        of_lists[row.target_id, shape].append(row.id)
    for (target_id, shape), ids in sorted(of_lists.items()):
        await _purge_some(connection, target_id, shape, ids)
    return len(of_lists) or await _purge_of_deleted_target(connection)


async def _purge_some(
    connection: Connection, target_id: int, shape: str, ids: Sequence[int]
) -> None:
    """Deletes subjects of one list. The count is locked first, as whoever changes the list does."""
    the_count = and_(subject_shapes.c.target_id == target_id, subject_shapes.c.shape == shape)
    await connection.execute(select(subject_shapes.c.shape).where(the_count).with_for_update())
    gone = await connection.execute(delete(subjects).where(subjects.c.id.in_(ids)))
    await connection.execute(
        update(subject_shapes)
        .where(the_count)
        .values(subjects=subject_shapes.c.subjects - gone.rowcount)
    )
    await _forget_empty(connection, target_id, shape)


async def _purge_of_deleted_target(connection: Connection) -> int:
    target_id = await connection.scalar(
        select(deleted_targets.c.target_id).limit(1).with_for_update(skip_locked=True)
    )
    if target_id is None:
        return 0
    some = select(subjects.c.id).where(subjects.c.target_id == target_id).limit(_PURGED_AT_ONCE)
    purged = await connection.execute(delete(subjects).where(subjects.c.id.in_(some)))
    if purged.rowcount == 0:
        for table in (subject_shapes, deleted_targets):
            await connection.execute(delete(table).where(table.c.target_id == target_id))
        return 1
    return purged.rowcount

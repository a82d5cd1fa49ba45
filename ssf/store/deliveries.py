"""Rows of deliveries: what waits for each target, in the order in which it was published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    Select,
    Update,
    and_,
    bindparam,
    cast,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import (
    true as sql_true,
)

from ssf.rules.deliveries import DeliveryKind, DeliveryState, DueDelivery, Recorded
from ssf.rules.delivery_outcome import INVALID_KEY_WAITS_SECONDS
from ssf.store.database import Connection
from ssf.store.lanes import count_dropped
from ssf.store.schema import NOTICE, VERIFICATION, WAITING, deliveries, events, lanes, targets

_DUE = select(
    deliveries.c.id,
    deliveries.c.jti,
    deliveries.c.iat,
    deliveries.c.subject_key,
    deliveries.c.attempts,
    deliveries.c.invalid_key_count,
    deliveries.c.first_due_at,
    events.c.txn,
    events.c.event_id,
    events.c.event_type,
    events.c.subject,
    events.c.payload,
    events.c.toe,
).join_from(deliveries, events, events.c.id == deliveries.c.event_row)


def _due_delivery(row: Any) -> DueDelivery:
    return DueDelivery(
        id=row.id,
        jti=row.jti,
        iat=row.iat,
        txn=row.txn,
        subject_key=row.subject_key,
        attempts=row.attempts,
        invalid_key_count=row.invalid_key_count,
        first_due_at=row.first_due_at,
        event_id=row.event_id,
        event_type=row.event_type,
        subject=row.subject,
        payload=row.payload,
        toe=row.toe,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be written."""

    target_id: int
    jti: str
    matched_subject_id: int | None = None
    drop_reason: str | None = None


async def add_deliveries(
    connection: Connection,
    new: Sequence[NewDelivery],
    *,
    event_row: int,
    subject_key: bytes,
    kind: DeliveryKind,
    now: int,
) -> None:
    """Writes the deliveries of one event, one per target; one with a reason is dropped already."""
    await connection.execute(
        insert(deliveries),
        [
            {
                "target_id": delivery.target_id,
                "event_row": event_row,
                "jti": delivery.jti,
                "iat": now // 1_000_000,
                "subject_key": subject_key,
                "state": (
                    DeliveryState.DROPPED if delivery.drop_reason else DeliveryState.WAITING
                ).value,
                "kind": kind.value,
                "matched_subject_id": delivery.matched_subject_id,
                "last_outcome": delivery.drop_reason,
                "attempts": 0,
                "first_due_at": now,
                "next_attempt_at": now,
                "updated_at": now,
            }
            for delivery in new
        ],
    )


def _is_due(
    target_id: int, now: int, *, notices_only: bool, by_time: bool = False
) -> ColumnElement[bool]:
    """What can be sent or handed out now.

    A delivery that is due stays back while an earlier one of the same subject is not. Where only
    notices are sent, a verification that waits for better times is no reason to keep one back.
    """
    earlier = deliveries.alias("earlier")
    # The `+ 0` keeps both databases from the index on `next_attempt_at`, by which they would read
    # and sort the whole backlog; by `id` they read as far as the limit. Whoever wants any one and
    # no order is better off with that index.
    at = deliveries.c.next_attempt_at if by_time else deliveries.c.next_attempt_at + 0
    is_due = and_(
        deliveries.c.target_id == target_id,
        deliveries.c.state == WAITING,
        at <= now,
        ~exists().where(
            earlier.c.target_id == deliveries.c.target_id,
            earlier.c.subject_key == deliveries.c.subject_key,
            earlier.c.state == WAITING,
            earlier.c.id < deliveries.c.id,
            earlier.c.next_attempt_at + 0 > now,
            *([earlier.c.kind == NOTICE] if notices_only else []),
        ),
    )
    return and_(is_due, deliveries.c.kind == NOTICE) if notices_only else is_due


async def due_for_push(
    connection: Connection, target_id: int, *, now: int, limit: int, notices_only: bool = False
) -> Sequence[DueDelivery]:
    """What can be sent to a target now, in order."""
    query = (
        _DUE.where(_is_due(target_id, now, notices_only=notices_only))
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    return [_due_delivery(row) for row in await connection.execute(query)]


_RECORD = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery_id"), deliveries.c.state == WAITING)
    .values(
        state=bindparam("new_state"),
        attempts=bindparam("new_attempts"),
        invalid_key_count=bindparam("new_invalid_key_count"),
        next_attempt_at=bindparam("new_next_attempt_at"),
        last_outcome=bindparam("outcome"),
        last_status=bindparam("status"),
        last_description=bindparam("description"),
        updated_at=bindparam("at"),
    )
)


async def record_outcomes(connection: Connection, outcomes: Sequence[Recorded]) -> None:
    """Writes what attempts came to. A delivery that is not waiting any more stays as it is."""
    await connection.execute(
        _RECORD,
        [
            {
                "delivery_id": outcome.delivery_id,
                "new_state": outcome.state.value,
                "new_attempts": outcome.attempts,
                "new_invalid_key_count": outcome.invalid_key_count,
                "new_next_attempt_at": outcome.next_attempt_at,
                "outcome": outcome.outcome,
                "status": outcome.status,
                "description": outcome.description,
                "at": outcome.at,
            }
            for outcome in outcomes
        ],
    )


async def make_waiting_due(connection: Connection, target_id: int, *, now: int) -> None:
    """Ends the wait of everything that is to be tried again later: the reason for it is gone."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.next_attempt_at > now,
        )
        .values(next_attempt_at=now)
    )


async def forget_attempts(connection: Connection, target_id: int) -> None:
    """Begins the schedule of what waits anew: it goes another way, and a hand-out is no failure."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.attempts > 0,
        )
        .values(attempts=0)
    )


async def drop_waiting(connection: Connection, target_id: int, *, outcome: str, now: int) -> int:
    """Gives up everything that waits for a target; returns how many events those were.

    Verifications and notices go too, but a receiver that misses them has missed nothing.
    """
    drop = (
        update(deliveries)
        .where(deliveries.c.target_id == target_id, deliveries.c.state == WAITING)
        .values(state=DeliveryState.DROPPED.value, last_outcome=outcome, updated_at=now)
    )
    dropped = await connection.execute(drop.where(deliveries.c.kind == DeliveryKind.EVENT.value))
    await connection.execute(drop)
    await count_dropped(connection, target_id, dropped.rowcount)
    return dropped.rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """A verification event of a stream.

    Attributes:
        state: Where its delivery stands.
        sent_at: Microseconds UTC at which it was made.
        came_back_at: Microseconds UTC at which the receiver confirmed it; None before that.
    """

    state: DeliveryState
    sent_at: int
    came_back_at: int | None


async def last_verification(
    connection: Connection, target_id: int, *, delivered: bool = False
) -> VerificationRecord | None:
    """The newest verification of a target; with `delivered`, the newest that came back."""
    query = (
        select(deliveries.c.state, deliveries.c.first_due_at, deliveries.c.updated_at)
        .where(deliveries.c.target_id == target_id, deliveries.c.kind == VERIFICATION)
        .order_by(deliveries.c.id.desc())
        .limit(1)
    )
    if delivered:
        query = query.where(deliveries.c.state == DeliveryState.DELIVERED.value)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    state = DeliveryState(row.state)
    return VerificationRecord(
        state=state,
        sent_at=row.first_due_at,
        came_back_at=row.updated_at if state is DeliveryState.DELIVERED else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for a target, and what it missed.

    Attributes:
        waiting: How many deliveries wait; counting stops at `COUNTED_AT_MOST`.
        oldest_waiting_at: Microseconds UTC at which the oldest of them was published, or None.
        dropped: How many were dropped since the target was made.
    """

    waiting: int
    oldest_waiting_at: int | None
    dropped: int


COUNTED_AT_MOST = 10_000


async def backlog(connection: Connection, target_id: int) -> Backlog:
    """What waits for a target, without reading more of it than is counted."""
    some = (
        select(deliveries.c.id)
        .where(deliveries.c.target_id == target_id, deliveries.c.state == WAITING)
        .limit(COUNTED_AT_MOST)
        .subquery()
    )
    oldest = (
        select(deliveries.c.first_due_at)
        .where(deliveries.c.target_id == target_id, deliveries.c.state == WAITING)
        .order_by(deliveries.c.id)
        .limit(1)
        .scalar_subquery()
    )
    dropped = select(lanes.c.dropped).where(lanes.c.target_id == target_id).scalar_subquery()
    found = await connection.execute(
        select(select(func.count()).select_from(some).scalar_subquery(), oldest, dropped)
    )
    row = found.one()
    return Backlog(waiting=row[0], oldest_waiting_at=row[1], dropped=row[2] or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery as an operator sees it.

    Attributes:
        stream_id: None when the stream has been deleted since.
    """

    id: int
    jti: str
    event_id: str
    event_type: str
    stream_id: str | None
    kind: DeliveryKind
    matched_subject_id: int | None
    state: DeliveryState
    attempts: int
    first_due_at: int
    next_attempt_at: int
    last_outcome: str | None
    last_status: int | None
    last_description: str | None
    updated_at: int


_RECORDS: Select[Any] = (
    select(deliveries, events.c.event_id, events.c.event_type, targets.c.name)
    .join_from(deliveries, events, events.c.id == deliveries.c.event_row)
    .outerjoin(targets, targets.c.id == deliveries.c.target_id)
)


async def page_of_deliveries(
    connection: Connection,
    *,
    project_id: int,
    event_id: str | None,
    stream_id: str | None,
    jti: str | None,
    state: DeliveryState | None,
    after_id: int,
    limit: int,
) -> Sequence[DeliveryRecord]:
    """A page of a project's deliveries, oldest first, filtered by whatever is not None."""
    query = _RECORDS.where(events.c.project_id == project_id, deliveries.c.id > after_id)
    if event_id is not None:
        query = query.where(events.c.event_id == event_id)
    if stream_id is not None:
        query = query.where(targets.c.name == stream_id)
    if jti is not None:
        query = query.where(deliveries.c.jti == jti)
    if state is not None:
        query = query.where(deliveries.c.state == state.value)
    found = await connection.execute(query.order_by(deliveries.c.id).limit(limit))
    return [_record(row) for row in found]


async def of_event(
    connection: Connection, event_id: str, *, target_ids: Sequence[int]
) -> Mapping[int, DeliveryRecord]:
    """The deliveries of an event to these targets, by target."""
    found = await connection.execute(
        _RECORDS.where(events.c.event_id == event_id, deliveries.c.target_id.in_(target_ids))
    )
    return {row.target_id: _record(row) for row in found}


def _record(row: Any) -> DeliveryRecord:
    return DeliveryRecord(
        id=row.id,
        jti=row.jti,
        event_id=row.event_id,
        event_type=row.event_type,
        stream_id=row.name,
        kind=DeliveryKind(row.kind),
        matched_subject_id=row.matched_subject_id,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        first_due_at=row.first_due_at,
        next_attempt_at=row.next_attempt_at,
        last_outcome=row.last_outcome,
        last_status=row.last_status,
        last_description=row.last_description,
        updated_at=row.updated_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOutlook:
    """What a poll would find.

    Attributes:
        is_any: Whether something can be handed out now.
        next_at: Microseconds UTC at which something that is not may be; None: nothing waits so.
    """

    is_any: bool
    next_at: int | None


async def poll_outlook(
    connection: Connection, target_id: int, *, now: int, notices_only: bool
) -> PollOutlook:
    """Whether there is something to hand out, and when there may be more; takes nothing."""
    first = await connection.scalar(
        select(deliveries.c.id)
        .where(_is_due(target_id, now, notices_only=notices_only, by_time=True))
        .limit(1)
    )
    if first is not None:
        return PollOutlook(is_any=True, next_at=None)
    next_at = await connection.scalar(
        select(func.min(deliveries.c.next_attempt_at)).where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.next_attempt_at > now,
            *([deliveries.c.kind == NOTICE] if notices_only else []),
        )
    )
    return PollOutlook(is_any=False, next_at=next_at)


async def targets_with_due(
    connection: Connection, target_ids: Sequence[int], *, now: int
) -> Sequence[int]:
    """Those of these targets for which something is due that their status lets through."""
    found = await connection.execute(
        select(targets.c.id).where(
            targets.c.id.in_(target_ids),
            # Asked target by target, since an index answers it without reading a backlog.
            exists().where(
                deliveries.c.target_id == targets.c.id,
                deliveries.c.state == WAITING,
                deliveries.c.next_attempt_at <= now,
                or_(targets.c.status == "enabled", deliveries.c.kind == NOTICE),
            ),
        )
    )
    return list(found.scalars().all())


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What one poll gets.

    Attributes:
        deliveries: Oldest first.
        has_more: Whether more could have been handed out.
    """

    deliveries: Sequence[DueDelivery]
    has_more: bool


async def hand_out(
    connection: Connection,
    target_id: int,
    *,
    limit: int,
    max_bytes: int,
    now: int,
    again_at: int,
    notices_only: bool,
) -> HandedOut:
    """Takes what waits for a poll, oldest first; no other poll gets it before `again_at`.

    Only what is handed out is read, however large the rest is.

    Args:
        connection: A writing transaction that holds the lane.
        limit: At most so many; >= 1.
        max_bytes: At most about so much in subjects and payloads; one is handed out in any case.
        now: Microseconds UTC.
        again_at: Microseconds UTC; `now` for at once.
        notices_only: Whether the target is paused or disabled.
    """
    size_bytes = _bytes_of(connection, events.c.subject) + _bytes_of(connection, events.c.payload)
    found = await connection.execute(
        select(deliveries.c.id, size_bytes)
        .join(events, events.c.id == deliveries.c.event_row)
        .where(_is_due(target_id, now, notices_only=notices_only))
        .order_by(deliveries.c.id)
        .limit(limit + 1)
    )
    sizes = [(int(row[0]), int(row[1])) for row in found]
    ids = _within(sizes[:limit], max_bytes)
    if not ids:
        return HandedOut(deliveries=(), has_more=False)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(
            next_attempt_at=again_at,
            attempts=deliveries.c.attempts + 1,
            last_outcome=_HANDED_OUT,
            updated_at=now,
        )
    )
    taken = await connection.execute(_DUE.where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id))
    return HandedOut(
        deliveries=[_due_delivery(row) for row in taken], has_more=len(sizes) > len(ids)
    )


_HANDED_OUT = "handed_out"


def _is_hidden(now: int) -> ColumnElement[bool]:
    return and_(
        deliveries.c.state == WAITING,
        deliveries.c.next_attempt_at > now,
        deliveries.c.last_outcome == _HANDED_OUT,
    )


async def targets_with_handed_out(connection: Connection, *, now: int) -> Sequence[int]:
    """Polled targets of which something is kept from other polls."""
    found = await connection.execute(
        select(targets.c.id).where(
            targets.c.method == "poll",
            exists().where(deliveries.c.target_id == targets.c.id, _is_hidden(now)),
        )
    )
    return list(found.scalars().all())


async def show_again(connection: Connection, target_id: int, *, now: int) -> None:
    """Lets the next poll have what was handed out before; the lane is locked."""
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.target_id == target_id, _is_hidden(now))
        .values(next_attempt_at=now)
    )


def _bytes_of(connection: Connection, column: ColumnElement[str]) -> ColumnElement[int]:
    """How long a text is in UTF-8; `length` would count letters, which have up to four bytes."""
    if connection.dialect.name == "sqlite":
        return func.length(cast(column, LargeBinary))
    return func.octet_length(column)


def _within(sizes: Sequence[tuple[int, int]], max_bytes: int) -> list[int]:
    """The first ids whose sizes together keep to the bound; the very first in any case."""
    ids: list[int] = []
    left_bytes = max_bytes
    for id_, size_bytes in sizes:
        left_bytes -= size_bytes
        if ids and left_bytes < 0:
            break
        ids.append(id_)
    return ids


async def acknowledge(
    connection: Connection, target_id: int, jtis: Sequence[str], *, now: int
) -> None:
    """Marks as delivered those of these that wait for this target; ignores all others."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.target_id == target_id,
            deliveries.c.jti.in_(jtis),
            deliveries.c.state == WAITING,
        )
        .values(state=DeliveryState.DELIVERED.value, last_outcome="acknowledged", updated_at=now)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetError:
    """A `setErrs` entry: the receiver cannot take this SET (RFC 8936 §2.4.4)."""

    jti: str
    err: str
    description: str | None


def _in_error(invalid_key_counts: ColumnElement[bool]) -> Update:
    return (
        update(deliveries)
        .where(
            deliveries.c.target_id == bindparam("of_target"),
            deliveries.c.jti == bindparam("of_jti"),
            deliveries.c.state == WAITING,
            invalid_key_counts,
        )
        .values(
            last_outcome=bindparam("err"),
            last_description=bindparam("words"),
            updated_at=bindparam("at"),
        )
    )


_BURY = _in_error(sql_true()).values(state=DeliveryState.DEAD.value)
_TRY_AGAIN = [
    _in_error(deliveries.c.invalid_key_count == count).values(
        invalid_key_count=count + 1,
        next_attempt_at=bindparam("at", type_=BigInteger) + wait_seconds * 1_000_000,
    )
    for count, wait_seconds in enumerate(INVALID_KEY_WAITS_SECONDS)
]
_BURY_BAD_KEY = _in_error(deliveries.c.invalid_key_count >= len(INVALID_KEY_WAITS_SECONDS)).values(
    state=DeliveryState.DEAD.value
)


async def set_errors(
    connection: Connection, target_id: int, errors: Sequence[SetError], *, now: int
) -> None:
    """Takes in `setErrs`: dead-letters those of these that wait for this target.

    A SET whose key the receiver did not accept is handed out again after a while, signed anew,
    as often as one that is pushed; the receiver may not have had the newest keys.
    """
    rows = [
        {
            "of_target": target_id,
            "of_jti": error.jti,
            "err": error.err,
            "words": error.description,
            "at": now,
        }
        for error in errors
    ]
    bad_keys = [row for row in rows if row["err"] == "invalid_key"]
    others = [row for row in rows if row["err"] != "invalid_key"]
    if others:
        await connection.execute(_BURY, others)
    if bad_keys:
        # The highest count first, so that none is counted twice here.
        for statement in (_BURY_BAD_KEY, *reversed(_TRY_AGAIN)):
            await connection.execute(statement, bad_keys)

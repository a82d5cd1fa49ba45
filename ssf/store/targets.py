"""Which targets want an event: read from the routes, whatever number of targets exists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, union_all

from ssf.rules.stream_status import StreamStatus
from ssf.rules.subject_membership import NOT_LISTED, DefaultSubjects, Membership, is_wanted
from ssf.store.database import Connection
from ssf.store.schema import routes, targets

_MAX_IDS_AT_ONCE = 10_000
"""Both databases take about 32 000 parameters in a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantingTarget:
    """A target that is to get an event, as far as its type and its subject decide.

    Attributes:
        id: Row number.
        is_pushed: Whether a worker sends to it.
        status: Enabled, paused or disabled.
        audience_json: The `aud` of its SETs, a JSON array; read only when somebody asks.
        subject_format: The subject format that its SETs are to have; None for any.
        matched_subject_id: Number of the subject in its list that decided; None for none.
    """

    id: int
    is_pushed: bool
    status: StreamStatus
    audience_json: str
    subject_format: str | None
    matched_subject_id: int | None

    def is_among(self, audience: frozenset[str]) -> bool:
        """Whether one of its `aud` values is one of these."""
        return not audience.isdisjoint(json.loads(self.audience_json))


async def targets_wanting(
    connection: Connection,
    *,
    project_id: int,
    event_type: str,
    memberships: Mapping[int, Membership],
) -> Sequence[WantingTarget]:
    """The targets whose event types hold this one and whose subjects hold the event's.

    On PostgreSQL a target that is being disabled or deleted is waited for, and one that is found
    here stays as it is until the deliveries are committed.

    Args:
        connection: Inside the transaction that will write the deliveries.
        project_id: Only targets of this project.
        event_type: URI.
        memberships: What the lists of targets say of the subject.
    """
    listed = [id_ for id_, said in memberships.items() if said.added is not None]
    found = []
    for start in range(0, max(len(listed), 1), _MAX_IDS_AT_ONCE):
        some = listed[start : start + _MAX_IDS_AT_ONCE]
        query = _wanting(project_id, event_type, some, with_those_of_all=start == 0)
        found += list(await connection.execute(query))
    return [
        WantingTarget(
            id=row.id,
            is_pushed=row.method == "push",
            status=StreamStatus(row.status),
            audience_json=row.audience,
            subject_format=row.subject_format,
            matched_subject_id=said.added,
        )
        for row in sorted(found, key=lambda row: row.id)
        for said in [memberships.get(row.id, NOT_LISTED)]
        if is_wanted(DefaultSubjects(row.default_subjects), said)
    ]


def _wanting(
    project_id: int, event_type: str, listed: Sequence[int], *, with_those_of_all: bool
) -> Select[Any]:
    of_type = select(routes.c.target_id, routes.c.default_subjects).where(
        routes.c.project_id == project_id, routes.c.event_type == event_type
    )
    of_all = of_type.where(routes.c.default_subjects == DefaultSubjects.ALL.value)
    of_listed = of_type.where(
        routes.c.default_subjects == DefaultSubjects.NONE.value, routes.c.target_id.in_(listed)
    )
    parts = [of_all] * with_those_of_all + [of_listed] * bool(listed)
    routed = union_all(*parts).subquery("routed")
    return (
        select(
            targets.c.id,
            targets.c.method,
            targets.c.status,
            targets.c.audience,
            targets.c.subject_format,
            routed.c.default_subjects,
        )
        .join(routed, routed.c.target_id == targets.c.id)
        .order_by(targets.c.id)
        .with_for_update(read=True, of=targets)
    )

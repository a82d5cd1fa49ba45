"""Which targets want an event: one query over the routes, whatever number of targets exists."""

import json
from collections.abc import Sequence

from sqlalchemy import select

from ssf.rules.stream_status import StreamStatus
from ssf.rules.targets import MatchedTarget
from ssf.store.database import Connection
from ssf.store.schema import routes, targets

_TAKING = [status.value for status in StreamStatus if status.takes_events]

_WANTING = (
    select(targets.c.id, targets.c.method, targets.c.audience)
    .join_from(routes, targets, targets.c.id == routes.c.target_id)
    .where(targets.c.status.in_(_TAKING))
    .order_by(targets.c.id)
    # On PostgreSQL a target that is being disabled or deleted is waited for, and one that is
    # found here stays as it is until the deliveries are committed.
    .with_for_update(read=True, of=targets)
)


async def targets_wanting(
    connection: Connection,
    *,
    project_id: int,
    event_type: str,
    audience: frozenset[str] | None,
) -> Sequence[MatchedTarget]:
    """The targets whose delivered event types hold this one and whose status takes events.

    Args:
        connection: Inside the transaction that will write the deliveries.
        project_id: Only targets of this project.
        event_type: URI.
        audience: When given, only targets that have one of these as an `aud`.
    """
    found = await connection.execute(
        _WANTING.where(routes.c.project_id == project_id, routes.c.event_type == event_type)
    )
    return [
        MatchedTarget(id=row.id, is_pushed=row.method == "push")
        for row in found
        if audience is None or not audience.isdisjoint(json.loads(row.audience))
    ]

"""Lanes: one row per target, saying when it has something due and who drains it.

A lease ends by being let go or by expiring; liveness hangs on no worker's name. Each lease has a
larger fencing token than the one before, and outcomes are written only under the token that is
current, so a worker that was stopped and wakes up late can change nothing.
"""

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, func, or_, select, update

from ssf.rules.storage_errors import LeaseLost
from ssf.rules.targets import LeasedTarget
from ssf.store.database import Connection
from ssf.store.schema import WAITING, deliveries, lanes, targets

_MAX_IDS_AT_ONCE = 10_000
"""Both databases take about 32 000 parameters in a statement."""


async def mark_due(connection: Connection, target_ids: Sequence[int], *, now: int) -> None:
    """Says that these targets have something to send now, or had already.

    On PostgreSQL the rows are locked first, in order: two publishers must not wait for each
    other, and a worker that is letting a lane go must be waited for, since the condition below
    would otherwise be judged by what the lane was before.

    Args:
        target_ids: In ascending order.
    """
    for start in range(0, len(target_ids), _MAX_IDS_AT_ONCE):
        some = target_ids[start : start + _MAX_IDS_AT_ONCE]
        if connection.dialect.name == "postgresql":
            await connection.execute(
                select(lanes.c.target_id)
                .where(lanes.c.target_id.in_(some))
                .order_by(lanes.c.target_id)
                .with_for_update()
            )
        await connection.execute(
            update(lanes)
            .where(lanes.c.target_id.in_(some), or_(lanes.c.due_at.is_(None), lanes.c.due_at > now))
            .values(due_at=now)
        )


async def lease(
    connection: Connection, *, owner: str, now: int, lease_microseconds: int, limit: int
) -> Sequence[LeasedTarget]:
    """Leases lanes that are due, the longest waiting first.

    Args:
        connection: A writing transaction.
        owner: Name of the worker, for people who look at the table.
        now: Microseconds UTC.
        lease_microseconds: How long the lease lasts.
        limit: At most so many lanes.
    """
    due = (
        select(lanes.c.target_id)
        .join(targets, targets.c.id == lanes.c.target_id)
        .where(
            lanes.c.due_at <= now,
            lanes.c.gate_until <= now,
            lanes.c.lease_expires_at <= now,
            targets.c.method == "push",
            targets.c.status == "enabled",
        )
        .order_by(lanes.c.due_at)
        .limit(limit)
        .with_for_update(of=lanes, skip_locked=True)
    )
    ids = list((await connection.execute(due)).scalars())
    if not ids:
        return []
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id.in_(ids))
        .values(
            lease_owner=owner,
            lease_expires_at=now + lease_microseconds,
            fencing_token=lanes.c.fencing_token + 1,
        )
    )
    leased = await connection.execute(
        select(
            targets.c.id,
            targets.c.project_id,
            targets.c.name,
            targets.c.endpoint_url,
            targets.c.authorization_sealed,
            targets.c.audience,
            lanes.c.fencing_token,
            lanes.c.lease_expires_at,
        )
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(lanes.c.target_id.in_(ids))
        .order_by(lanes.c.due_at)
    )
    return [
        LeasedTarget(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            fencing_token=row.fencing_token,
            lease_expires_at=row.lease_expires_at,
            endpoint_url=row.endpoint_url,
            authorization_sealed=row.authorization_sealed,
            audience=tuple(json.loads(row.audience)),
        )
        for row in leased
    ]


async def require_lease(connection: Connection, target: LeasedTarget) -> None:
    """Makes sure that the lane is still ours, and that it stays so in this transaction.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    found = await connection.execute(
        select(lanes.c.fencing_token)
        .where(lanes.c.target_id == target.id, lanes.c.lease_owner.is_not(None))
        .with_for_update()
    )
    if found.scalar_one_or_none() != target.fencing_token:
        raise LeaseLost(f"The lane of target {target.id} was leased to another worker.")


async def close_gate(connection: Connection, target: LeasedTarget, *, until: int) -> None:
    """Leaves a whole target alone until then; it asked for it."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id, lanes.c.gate_until < until)
        .values(gate_until=until)
    )


async def let_go(connection: Connection, target: LeasedTarget) -> None:
    """Ends the lease and says when the lane is due again.

    The lane's row is locked first and the deliveries are read by a later statement, so that an
    event published meanwhile is seen here, or its publisher sees the lane let go.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    await require_lease(connection, target)
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id)
        .values(
            due_at=await _next_due_at(connection, target.id), lease_owner=None, lease_expires_at=0
        )
    )


async def make_due_again(connection: Connection, target_id: int) -> None:
    """Computes anew when a lane is due: after its target was resumed, or changed to push."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target_id)
        .values(due_at=await _next_due_at(connection, target_id))
    )


async def next_due_at(connection: Connection) -> int | None:
    """When the next lane that nobody drains will be due; microseconds UTC, None for never."""
    latest = "greatest" if connection.dialect.name == "postgresql" else "max"
    due_at: ColumnElement[int] = getattr(func, latest)(
        lanes.c.due_at, lanes.c.gate_until, lanes.c.lease_expires_at
    )
    found = await connection.execute(
        select(func.min(due_at))
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(
            lanes.c.due_at.is_not(None), targets.c.method == "push", targets.c.status == "enabled"
        )
    )
    at: int | None = found.scalar_one_or_none()
    return at


async def _next_due_at(connection: Connection, target_id: int) -> int | None:
    """When the first head of a subject's queue is due; those behind a head wait for it."""
    earlier = deliveries.alias("earlier")
    found = await connection.execute(
        select(func.min(deliveries.c.next_attempt_at)).where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            ~exists().where(
                earlier.c.target_id == deliveries.c.target_id,
                earlier.c.subject_key == deliveries.c.subject_key,
                earlier.c.state == WAITING,
                earlier.c.id < deliveries.c.id,
            ),
        )
    )
    at: int | None = found.scalar_one_or_none()
    return at


async def free_all(connection: Connection) -> None:
    """Ends every lease; the next one of each lane gets a larger fencing token."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.lease_owner.is_not(None))
        .values(lease_owner=None, lease_expires_at=0)
    )

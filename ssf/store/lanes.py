"""Lanes: one row per target, saying when it has something due and who drains it.

A lease ends by being let go or by expiring; liveness hangs on no worker's name. Each lease has a
larger fencing token than the one before, and outcomes are written only under the token that is
current, so a worker that was stopped and wakes up late can change nothing.
"""

import json
from collections.abc import Sequence

from sqlalchemy import Select, case, func, or_, select, update

from ssf.rules.storage_errors import LeaseLost
from ssf.rules.targets import LeasedTarget, SetShape
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
    due = _due_lanes(now, limit).with_for_update(of=lanes, skip_locked=True)
    ids = list((await connection.execute(due)).scalars())
    if not ids:
        return []
    expires_at = now + lease_microseconds
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id.in_(ids))
        .values(
            lease_owner=owner,
            lease_expires_at=expires_at,
            fencing_token=lanes.c.fencing_token + 1,
            # A worker that dies leaves a lane that is due when its lease is over. A publisher
            # moves this forward, by which `let_go` sees that something came meanwhile.
            due_at=expires_at,
        )
    )
    leased = await connection.execute(
        select(
            targets.c.id,
            targets.c.name,
            targets.c.endpoint_url,
            targets.c.authorization_sealed,
            targets.c.audience,
            targets.c.subject_format,
            targets.c.legacy_event_uris,
            targets.c.subject_in_event,
            lanes.c.fencing_token,
            lanes.c.resumed_at,
        )
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(lanes.c.target_id.in_(ids))
    )
    return [
        LeasedTarget(
            id=row.id,
            name=row.name,
            fencing_token=row.fencing_token,
            lease_expires_at=expires_at,
            resumed_at=row.resumed_at,
            endpoint_url=row.endpoint_url,
            authorization_sealed=row.authorization_sealed,
            audience=tuple(json.loads(row.audience)),
            shape=SetShape(
                subject_format=row.subject_format,
                legacy_event_uris=row.legacy_event_uris,
                subject_in_event=row.subject_in_event,
            ),
        )
        for row in leased
    ]


def _due_lanes(now: int, limit: int) -> Select[tuple[int]]:
    return (
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
    )


async def is_any_due(connection: Connection, *, now: int) -> bool:
    """Whether `lease` would find a lane."""
    found = await connection.execute(_due_lanes(now, 1))
    return found.first() is not None


async def lock(connection: Connection, target_id: int) -> None:
    """Locks a lane, which whoever changes deliveries of its target does first.

    One order for all keeps two transactions on PostgreSQL from waiting for each other.
    """
    await connection.execute(
        select(lanes.c.target_id).where(lanes.c.target_id == target_id).with_for_update()
    )


async def require_lease(connection: Connection, target: LeasedTarget) -> bool:
    """Makes sure that the lane is still ours, and that it stays so in this transaction.

    Returns:
        Whether the target is still to be pushed to in the way in which it was leased. False
        after its status, method, URL or credentials were changed: no further push may begin.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    found = await connection.execute(
        select(
            lanes.c.fencing_token,
            lanes.c.resumed_at,
            targets.c.status,
            targets.c.method,
            targets.c.endpoint_url,
            targets.c.authorization_sealed,
        )
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(lanes.c.target_id == target.id, lanes.c.lease_owner.is_not(None))
        .with_for_update(of=lanes)
    )
    row = found.one_or_none()
    if row is None or row.fencing_token != target.fencing_token:
        raise LeaseLost(f"The lane of target {target.id} was leased to another worker.")
    now = (row.status, row.method, row.endpoint_url, row.authorization_sealed)
    as_leased = ("enabled", "push", target.endpoint_url, target.authorization_sealed)
    # The same again after something else is another: what was read before is not what waits now.
    return now == as_leased and bool(row.resumed_at == target.resumed_at)


async def close_gate(connection: Connection, target: LeasedTarget, *, until: int) -> None:
    """Leaves a whole target alone until then; it asked for it."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id, lanes.c.gate_until < until)
        .values(gate_until=until)
    )


async def let_go(
    connection: Connection,
    target: LeasedTarget,
    *,
    looked_at: int,
    has_more: bool,
    now: int,
    again_at: int | None = None,
) -> None:
    """Ends the lease and says when the lane is due again.

    Nothing is counted or scanned here, however much waits. What waits behind a delivery that is
    tried again later has a time in the past; the delivery before it has the one that matters.

    Args:
        looked_at: Microseconds UTC at which the slice that was worked off was read.
        has_more: Whether something in or behind the slice was due and not attempted.
        now: Microseconds UTC.
        again_at: The earliest retry that this lease gave out; None for none. Told, because a
            clock that was set back meanwhile put it before `looked_at`.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    await require_lease(connection, target)
    next_at = now if has_more else await _first_waiting_after(connection, target.id, looked_at)
    if again_at is not None:
        next_at = again_at if next_at is None else min(next_at, again_at)
    came_meanwhile = lanes.c.due_at < target.lease_expires_at
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id)
        .values(
            due_at=case((came_meanwhile, lanes.c.due_at), else_=next_at),
            lease_owner=None,
            lease_expires_at=0,
        )
    )


async def resume(connection: Connection, target_id: int, *, now: int) -> None:
    """Makes a lane due at once: its target was enabled, or is reached in another way now.

    Whatever waits gets as much time to be delivered as if it had been published now. A worker
    that holds the lane sees that `resumed_at` is another one, so it always grows.
    """
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target_id)
        .values(
            due_at=now,
            resumed_at=case((lanes.c.resumed_at >= now, lanes.c.resumed_at + 1), else_=now),
            gate_until=0,
        )
    )


async def free_all(connection: Connection, *, now: int) -> None:
    """Ends every lease; the next one of each lane gets a larger fencing token."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.lease_owner.is_not(None))
        .values(lease_owner=None, lease_expires_at=0, due_at=now)
    )


async def _first_waiting_after(connection: Connection, target_id: int, at: int) -> int | None:
    found = await connection.execute(
        select(func.min(deliveries.c.next_attempt_at)).where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.next_attempt_at > at,
        )
    )
    first: int | None = found.scalar_one_or_none()
    return first

"""Rows of deliveries: what waits for each target, in the order in which it was published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, exists, insert, select, update

from ssf.rules.deliveries import DeliveryState, DueDelivery, Recorded
from ssf.store.database import Connection
from ssf.store.schema import WAITING, deliveries, events, targets

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


async def add_deliveries(
    connection: Connection,
    new: Sequence[NewDelivery],
    *,
    event_row: int,
    subject_key: bytes,
    now: int,
) -> None:
    """Writes the deliveries of one event, one per target."""
    await connection.execute(
        insert(deliveries),
        [
            {
                "target_id": delivery.target_id,
                "event_row": event_row,
                "jti": delivery.jti,
                "iat": now // 1_000_000,
                "subject_key": subject_key,
                "state": DeliveryState.WAITING.value,
                "attempts": 0,
                "first_due_at": now,
                "next_attempt_at": now,
                "updated_at": now,
            }
            for delivery in new
        ],
    )


async def due_for_push(
    connection: Connection, target_id: int, *, now: int, limit: int
) -> Sequence[DueDelivery]:
    """What can be sent to a target now, in order.

    A delivery that is due stays back while an earlier one of the same subject is not.
    """
    earlier = deliveries.alias("earlier")
    # The `+ 0` keeps both databases from the index on `next_attempt_at`, by which they would read
    # and sort the whole backlog; by `id` they read as far as the limit.
    query = (
        _DUE.where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.next_attempt_at + 0 <= now,
            ~exists().where(
                earlier.c.target_id == deliveries.c.target_id,
                earlier.c.subject_key == deliveries.c.subject_key,
                earlier.c.state == WAITING,
                earlier.c.id < deliveries.c.id,
                earlier.c.next_attempt_at + 0 > now,
            ),
        )
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


async def drop_waiting(connection: Connection, target_id: int, *, outcome: str, now: int) -> int:
    """Gives up everything that waits for a target; returns how many that were."""
    dropped = await connection.execute(
        update(deliveries)
        .where(deliveries.c.target_id == target_id, deliveries.c.state == WAITING)
        .values(state=DeliveryState.DROPPED.value, last_outcome=outcome, updated_at=now)
    )
    return dropped.rowcount


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
    if state is not None:
        query = query.where(deliveries.c.state == state.value)
    return [
        DeliveryRecord(
            id=row.id,
            jti=row.jti,
            event_id=row.event_id,
            event_type=row.event_type,
            stream_id=row.name,
            state=DeliveryState(row.state),
            attempts=row.attempts,
            first_due_at=row.first_due_at,
            next_attempt_at=row.next_attempt_at,
            last_outcome=row.last_outcome,
            last_status=row.last_status,
            last_description=row.last_description,
            updated_at=row.updated_at,
        )
        for row in await connection.execute(query.order_by(deliveries.c.id).limit(limit))
    ]


_FOR_POLL = (
    _DUE.where(
        deliveries.c.target_id == bindparam("target_id"),
        deliveries.c.state == WAITING,
    )
    .order_by(deliveries.c.id)
    .limit(bindparam("most"))
)


async def waiting_for_poll(
    connection: Connection, target_id: int, *, limit: int
) -> Sequence[DueDelivery]:
    """What a poll may hand out, oldest first, whether or not it was handed out before."""
    found = await connection.execute(_FOR_POLL, {"target_id": target_id, "most": limit})
    return [_due_delivery(row) for row in found]


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


_SET_ERROR = (
    update(deliveries)
    .where(
        deliveries.c.target_id == bindparam("of_target"),
        deliveries.c.jti == bindparam("of_jti"),
        deliveries.c.state == WAITING,
    )
    .values(
        state=DeliveryState.DEAD.value,
        last_outcome=bindparam("err"),
        last_description=bindparam("words"),
        updated_at=bindparam("at"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetError:
    """A `setErrs` entry: the receiver cannot take this SET (RFC 8936 §2.4.4)."""

    jti: str
    err: str
    description: str | None


async def bury(
    connection: Connection, target_id: int, errors: Sequence[SetError], *, now: int
) -> None:
    """Dead-letters those of these that wait for this target, with the receiver's words."""
    await connection.execute(
        _SET_ERROR,
        [
            {
                "of_target": target_id,
                "of_jti": error.jti,
                "err": error.err,
                "words": error.description,
                "at": now,
            }
            for error in errors
        ],
    )

"""Rows of events and of the idempotency keys under which they were sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from ssf.rules.events import StoredEvent
from ssf.store.database import Connection, insert_or
from ssf.store.schema import events, idempotency_keys


async def add_event(connection: Connection, event: StoredEvent) -> int:
    """Writes an event and returns its row number."""
    added = await connection.execute(
        insert(events)
        .values(
            project_id=event.project_id,
            event_id=event.event_id,
            event_type=event.event_type,
            subject=event.subject,
            subject_key=event.subject_key,
            payload=event.payload,
            txn=event.txn,
            toe=event.toe,
            audience=event.audience,
            created_at=event.created_at,
        )
        .returning(events.c.id)
    )
    return int(added.scalar_one())


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedRequest:
    """What was answered to an `Idempotency-Key`.

    Attributes:
        request_hash: SHA-256 of what was asked for.
        event_id: The event that it made.
        matched: How many streams wanted it.
    """

    request_hash: bytes
    event_id: str
    matched: int


async def remember_request(
    connection: Connection,
    *,
    project_id: int,
    caller: str,
    key: str,
    request: RememberedRequest,
    now: int,
) -> RememberedRequest | None:
    """Claims an idempotency key for this transaction.

    Waits for another transaction that is about to claim the same one.

    Returns:
        None when the key is ours now; otherwise what was answered to it before.
    """
    claimed = await connection.execute(
        insert_or(connection, idempotency_keys)
        .values(
            project_id=project_id,
            caller=caller,
            key=key,
            request_hash=request.request_hash,
            event_id=request.event_id,
            matched=request.matched,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.key)
    )
    if claimed.one_or_none() is not None:
        return None
    found = await connection.execute(
        select(
            idempotency_keys.c.request_hash, idempotency_keys.c.event_id, idempotency_keys.c.matched
        ).where(
            idempotency_keys.c.project_id == project_id,
            idempotency_keys.c.caller == caller,
            idempotency_keys.c.key == key,
        )
    )
    row = found.one()
    return RememberedRequest(
        request_hash=row.request_hash, event_id=row.event_id, matched=row.matched
    )


async def find_event(
    connection: Connection, *, project_id: int, event_id: str
) -> StoredEvent | None:
    """An event by its name."""
    found: Sequence[StoredEvent] = [
        StoredEvent(
            project_id=row.project_id,
            event_id=row.event_id,
            event_type=row.event_type,
            subject=row.subject,
            subject_key=row.subject_key,
            payload=row.payload,
            txn=row.txn,
            toe=row.toe,
            audience=row.audience,
            created_at=row.created_at,
        )
        for row in await connection.execute(
            select(events).where(events.c.project_id == project_id, events.c.event_id == event_id)
        )
    ]
    return found[0] if found else None

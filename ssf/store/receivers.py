"""Rows of receivers and of their access tokens."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exc, insert, select, update

from ssf.rules.access import Scope
from ssf.rules.receivers import Receiver, ReceiverTerms
from ssf.rules.storage_errors import AlreadyThere
from ssf.rules.subject_membership import DefaultSubjects
from ssf.store.database import Connection
from ssf.store.schema import access_tokens, receivers


def _receiver(row: Any) -> Receiver:
    supported = row.events_supported
    return Receiver(
        id=row.id,
        project_id=row.project_id,
        client_id=row.client_id,
        name=row.name,
        audience=tuple(json.loads(row.audience)),
        events_supported=None if supported is None else tuple(json.loads(supported)),
        min_verification_interval_seconds=row.min_verification_interval_seconds,
        max_streams=row.max_streams,
        default_subjects=DefaultSubjects(row.default_subjects),
        inactivity_timeout_seconds=row.inactivity_timeout_seconds,
        legacy_event_uris=row.legacy_event_uris,
        subject_in_event=row.subject_in_event,
        created_at=row.created_at,
    )


def _columns(terms: ReceiverTerms) -> dict[str, Any]:
    supported = terms.events_supported
    return {
        "name": terms.name,
        "audience": json.dumps(terms.audience),
        "events_supported": None if supported is None else json.dumps(supported),
        "min_verification_interval_seconds": terms.min_verification_interval_seconds,
        "max_streams": terms.max_streams,
        "default_subjects": terms.default_subjects.value,
        "inactivity_timeout_seconds": terms.inactivity_timeout_seconds,
        "legacy_event_uris": terms.legacy_event_uris,
        "subject_in_event": terms.subject_in_event,
    }


async def change_receiver(connection: Connection, receiver_id: int, agreed: ReceiverTerms) -> None:
    """Writes what is agreed with a receiver now; its streams follow in `streams`.

    Raises:
        AlreadyThere: The project has another receiver of this name.
    """
    statement = update(receivers).where(receivers.c.id == receiver_id).values(**_columns(agreed))
    try:
        await connection.execute(statement)
    except exc.IntegrityError as error:
        raise AlreadyThere(f"There is a receiver named {agreed.name}.") from error


async def add_receiver(
    connection: Connection,
    *,
    project_id: int,
    client_id: str,
    client_secret_hash: str,
    agreed: ReceiverTerms,
    now: int,
) -> Receiver:
    """Writes a new receiver.

    Raises:
        AlreadyThere: The project has a receiver of this name.
    """
    statement = (
        insert(receivers)
        .values(
            project_id=project_id,
            client_id=client_id,
            client_secret_hash=client_secret_hash,
            **_columns(agreed),
            created_at=now,
        )
        .returning(receivers)
    )
    try:
        return _receiver((await connection.execute(statement)).one())
    except exc.IntegrityError as error:
        raise AlreadyThere(f"There is a receiver named {agreed.name}.") from error


async def add_access_token(
    connection: Connection,
    *,
    receiver_id: int,
    token_hash: bytes,
    scopes: frozenset[Scope],
    now: int,
) -> None:
    """Writes the hash of a token; the token itself is kept nowhere."""
    await connection.execute(
        insert(access_tokens).values(
            receiver_id=receiver_id,
            token_hash=token_hash,
            scopes=" ".join(sorted(scopes)),
            created_at=now,
        )
    )


_BY_TOKEN = select(receivers, access_tokens.c.scopes).join_from(
    access_tokens, receivers, receivers.c.id == access_tokens.c.receiver_id
)


async def find_by_token_hash(
    connection: Connection, token_hash: bytes
) -> tuple[Receiver, frozenset[Scope]] | None:
    """The receiver that a token belongs to and what the token may be used for."""
    found = await connection.execute(_BY_TOKEN.where(access_tokens.c.token_hash == token_hash))
    row = found.one_or_none()
    if row is None:
        return None
    return _receiver(row), frozenset(Scope(word) for word in row.scopes.split())


async def find_receiver(
    connection: Connection, *, project_id: int, client_id: str, for_update: bool = False
) -> Receiver | None:
    """A receiver by its public name; with `for_update` nobody else changes it meanwhile.

    On PostgreSQL rows that refer to the receiver can still be written: writing the same stream
    twice looks at its foreign key again, and would otherwise wait for whoever holds the receiver
    and waits for that stream.
    """
    query = select(receivers).where(
        receivers.c.project_id == project_id, receivers.c.client_id == client_id
    )
    found = await connection.execute(query.with_for_update(key_share=True) if for_update else query)
    row = found.one_or_none()
    return None if row is None else _receiver(row)


async def find_by_number(connection: Connection, receiver_id: int) -> Receiver:
    """A receiver that a row refers to."""
    found = await connection.execute(select(receivers).where(receivers.c.id == receiver_id))
    return _receiver(found.one())


async def list_receivers(
    connection: Connection, *, project_id: int, after_id: int, limit: int
) -> Sequence[Receiver]:
    """A page of receivers in the order in which they were added."""
    found = await connection.execute(
        select(receivers)
        .where(receivers.c.project_id == project_id, receivers.c.id > after_id)
        .order_by(receivers.c.id)
        .limit(limit)
    )
    return [_receiver(row) for row in found]


async def remove_receiver(connection: Connection, receiver_id: int) -> None:
    """Deletes a receiver and its tokens; its streams must be gone."""
    await connection.execute(delete(receivers).where(receivers.c.id == receiver_id))

"""Rows of streams, with the target and the routes that belong to each."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Profile, Stream
from ssf.rules.subject_membership import DefaultSubjects
from ssf.store.database import Connection
from ssf.store.schema import deleted_targets, lanes, receivers, routes, streams, targets

_METHOD_WORDS = {DeliveryMethod.PUSH: "push", DeliveryMethod.POLL: "poll"}
_METHODS = {word: method for method, word in _METHOD_WORDS.items()}

_STREAM = select(
    streams,
    targets.c.name.label("stream_id"),
    targets.c.project_id,
    targets.c.method,
    targets.c.status,
    targets.c.endpoint_url,
    targets.c.authorization_sealed,
    targets.c.audience,
    targets.c.default_subjects,
    targets.c.subject_format,
    targets.c.legacy_event_uris,
    targets.c.subject_in_event,
).join_from(streams, targets, streams.c.id == targets.c.id)

_ROWS = (targets, streams)
"""In the order in which they are locked: whoever shares a target and then writes its stream must
not meet somebody who locks them the other way round."""


def _stream(row: Any) -> Stream:
    requested = row.events_requested
    return Stream(
        id=row.id,
        project_id=row.project_id,
        stream_id=row.stream_id,
        receiver_id=row.receiver_id,
        profile=Profile(row.profile),
        status=StreamStatus(row.status),
        reason=row.reason,
        method=_METHODS[row.method],
        endpoint_url=row.endpoint_url,
        authorization_sealed=row.authorization_sealed,
        audience=tuple(json.loads(row.audience)),
        events_requested=None if requested is None else tuple(json.loads(requested)),
        description=row.description,
        format=row.subject_format,
        last_verification_at=row.last_verification_at,
        default_subjects=DefaultSubjects(row.default_subjects),
        legacy_event_uris=row.legacy_event_uris,
        subject_in_event=row.subject_in_event,
        inactive_at=row.inactive_at,
        probe_interval_seconds=row.probe_interval_seconds,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def add_stream(
    connection: Connection, stream: Stream, *, event_types: tuple[str, ...]
) -> Stream:
    """Writes a new stream with its target, lane and routes; `stream.id` is ignored.

    Returns:
        The stream with the row number that it got.
    """
    added = await connection.execute(
        insert(targets)
        .values(
            project_id=stream.project_id,
            name=stream.stream_id,
            status=stream.status.value,
            audience=json.dumps(stream.audience),
            **_editable_columns_of_target(stream),
            **_agreed_columns_of_target(stream),
        )
        .returning(targets.c.id)
    )
    target_id = int(added.scalar_one())
    await connection.execute(insert(lanes).values(target_id=target_id))
    await connection.execute(
        insert(streams).values(
            id=target_id,
            receiver_id=stream.receiver_id,
            profile=stream.profile.value,
            reason=stream.reason,
            **_own_columns(stream),
            inactive_at=stream.inactive_at,
            created_at=stream.created_at,
            updated_at=stream.updated_at,
        )
    )
    await _add_routes(connection, replace(stream, id=target_id), event_types)
    found = await connection.execute(_STREAM.where(streams.c.id == target_id))
    return _stream(found.one())


def _editable_columns_of_target(stream: Stream) -> dict[str, Any]:
    return {
        "method": _METHOD_WORDS[stream.method],
        "endpoint_url": stream.endpoint_url,
        "authorization_sealed": stream.authorization_sealed,
        "subject_format": stream.format,
    }


def _agreed_columns_of_target(stream: Stream) -> dict[str, Any]:
    return {
        "default_subjects": stream.default_subjects.value,
        "legacy_event_uris": stream.legacy_event_uris,
        "subject_in_event": stream.subject_in_event,
    }


def _own_columns(stream: Stream) -> dict[str, Any]:
    requested = stream.events_requested
    return {
        "events_requested": None if requested is None else json.dumps(requested),
        "description": stream.description,
    }


async def _add_routes(connection: Connection, stream: Stream, event_types: tuple[str, ...]) -> None:
    if event_types:
        await connection.execute(
            insert(routes),
            [
                {
                    "project_id": stream.project_id,
                    "event_type": uri,
                    "default_subjects": stream.default_subjects.value,
                    "target_id": stream.id,
                }
                for uri in event_types
            ],
        )


async def change_stream(
    connection: Connection, stream: Stream, *, event_types: tuple[str, ...]
) -> None:
    """Writes the editable properties of a stream, and its routes anew."""
    await connection.execute(
        update(targets)
        .where(targets.c.id == stream.id)
        .values(**_editable_columns_of_target(stream))
    )
    await connection.execute(
        update(streams)
        .where(streams.c.id == stream.id)
        .values(**_own_columns(stream), updated_at=stream.updated_at)
    )
    await _replace_routes(connection, stream, event_types)


async def change_agreed(
    connection: Connection, stream: Stream, *, event_types: tuple[str, ...]
) -> None:
    """Writes what follows from the terms of the stream's receiver, and its routes anew."""
    await connection.execute(
        update(targets)
        .where(targets.c.id == stream.id)
        .values(audience=json.dumps(stream.audience), **_agreed_columns_of_target(stream))
    )
    await connection.execute(
        update(streams).where(streams.c.id == stream.id).values(inactive_at=stream.inactive_at)
    )
    await _replace_routes(connection, stream, event_types)


async def _replace_routes(
    connection: Connection, stream: Stream, event_types: tuple[str, ...]
) -> None:
    await connection.execute(delete(routes).where(routes.c.target_id == stream.id))
    await _add_routes(connection, stream, event_types)


async def change_status(
    connection: Connection, stream: Stream, *, status: StreamStatus, reason: str | None, now: int
) -> None:
    """Writes the status of a stream."""
    await connection.execute(
        update(targets).where(targets.c.id == stream.id).values(status=status.value)
    )
    await connection.execute(
        update(streams).where(streams.c.id == stream.id).values(reason=reason, updated_at=now)
    )


async def set_inactive_at(connection: Connection, target_id: int, at: int | None) -> None:
    """Writes when a stream will have been inactive for too long; None for never."""
    await connection.execute(
        update(streams).where(streams.c.id == target_id).values(inactive_at=at)
    )


async def remove_stream(connection: Connection, stream: Stream, *, now: int) -> None:
    """Deletes a stream with its target, lane and routes; its deliveries stay as history.

    Its subjects are taken from its name at once and deleted little by little, by `subjects`.
    """
    await connection.execute(insert(deleted_targets).values(target_id=stream.id, deleted_at=now))
    await connection.execute(delete(routes).where(routes.c.target_id == stream.id))
    await connection.execute(delete(lanes).where(lanes.c.target_id == stream.id))
    await connection.execute(delete(streams).where(streams.c.id == stream.id))
    await connection.execute(delete(targets).where(targets.c.id == stream.id))


async def find_stream(
    connection: Connection,
    *,
    receiver_id: int,
    stream_id: str,
    for_update: bool = False,
    for_share: bool = False,
) -> Stream | None:
    """A receiver's stream by its name; somebody else's is None like one that never was.

    On PostgreSQL `for_update` keeps everybody else from it until the transaction ends, events
    included; `for_share` keeps it from being deleted.
    """
    query = _STREAM.where(targets.c.name == stream_id, streams.c.receiver_id == receiver_id)
    if for_update:
        query = query.with_for_update(of=_ROWS)
    elif for_share:
        query = query.with_for_update(read=True, of=targets)
    found = await connection.execute(query)
    row = found.one_or_none()
    return None if row is None else _stream(row)


async def find_in_project(
    connection: Connection, *, project_id: int, stream_id: str, for_update: bool = False
) -> Stream | None:
    """A stream of any receiver of the project, by its name."""
    query = _STREAM.where(targets.c.name == stream_id, targets.c.project_id == project_id)
    found = await connection.execute(query.with_for_update(of=_ROWS) if for_update else query)
    row = found.one_or_none()
    return None if row is None else _stream(row)


async def find_by_number(
    connection: Connection, target_id: int, *, for_update: bool = False
) -> Stream | None:
    """A stream by its row number; None when it has been deleted."""
    query = _STREAM.where(streams.c.id == target_id)
    found = await connection.execute(query.with_for_update(of=_ROWS) if for_update else query)
    row = found.one_or_none()
    return None if row is None else _stream(row)


async def inactive_streams(connection: Connection, *, now: int, limit: int) -> Sequence[int]:
    """Numbers of streams of which nothing was heard for too long."""
    found = await connection.execute(
        select(streams.c.id)
        .where(streams.c.inactive_at <= now)
        .order_by(streams.c.inactive_at)
        .limit(limit)
    )
    return list(found.scalars().all())


async def streams_to_probe(connection: Connection, *, now: int, limit: int) -> Sequence[int]:
    """Numbers of streams that are to be verified unasked."""
    found = await connection.execute(
        select(streams.c.id)
        .where(streams.c.probe_at <= now)
        .order_by(streams.c.probe_at)
        .limit(limit)
    )
    return list(found.scalars().all())


async def set_probe(
    connection: Connection, target_id: int, *, interval_seconds: int | None, at: int | None
) -> None:
    """Writes how often a stream is verified unasked and when next; None for never."""
    await connection.execute(
        update(streams)
        .where(streams.c.id == target_id)
        .values(probe_interval_seconds=interval_seconds, probe_at=at)
    )


async def list_streams(
    connection: Connection, receiver_id: int, *, for_update: bool = False
) -> Sequence[Stream]:
    """All streams of a receiver in the order in which they were made.

    With `for_update`, events on their way to them are waited for, and no others come.
    """
    query = _STREAM.where(streams.c.receiver_id == receiver_id).order_by(streams.c.id)
    found = await connection.execute(query.with_for_update(of=_ROWS) if for_update else query)
    return [_stream(row) for row in found]


async def count_streams(connection: Connection, receiver_id: int) -> int:
    """How many streams a receiver has."""
    found = await connection.execute(
        select(func.count()).select_from(streams).where(streams.c.receiver_id == receiver_id)
    )
    return int(found.scalar_one())


async def page_of_streams(
    connection: Connection,
    *,
    project_id: int,
    after_id: int,
    limit: int,
    stream_id: str | None = None,
) -> Sequence[tuple[Stream, str]]:
    """A page of a project's streams, each with the `client_id` of its receiver.

    Args:
        stream_id: Only the one of this name; None for all.
    """
    query = (
        _STREAM.add_columns(receivers.c.client_id)
        .join(receivers, receivers.c.id == streams.c.receiver_id)
        .where(targets.c.project_id == project_id, streams.c.id > after_id)
        .order_by(streams.c.id)
        .limit(limit)
    )
    if stream_id is not None:
        query = query.where(targets.c.name == stream_id)
    return [(_stream(row), row.client_id) for row in await connection.execute(query)]


async def routed(
    connection: Connection, event_type: str, *, target_ids: Sequence[int]
) -> frozenset[int]:
    """Those of these targets that get events of a type."""
    found = await connection.execute(
        select(routes.c.target_id).where(
            routes.c.target_id.in_(target_ids), routes.c.event_type == event_type
        )
    )
    return frozenset(found.scalars())


async def record_verification(connection: Connection, stream: Stream, *, now: int) -> None:
    """Remembers when verification was last accepted."""
    await connection.execute(
        update(streams).where(streams.c.id == stream.id).values(last_verification_at=now)
    )

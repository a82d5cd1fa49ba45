"""Rows of the event types that operators registered."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exc, func, insert, or_, select

from ssf.rules.event_types import CustomEventType
from ssf.rules.storage_errors import AlreadyThere
from ssf.store.database import Connection
from ssf.store.schema import event_types


def _event_type(row: Any) -> CustomEventType:
    return CustomEventType(
        id=row.id,
        project_id=row.project_id,
        uri=row.uri,
        name=row.name,
        schema=row.schema,
        created_at=row.created_at,
    )


async def add_event_type(
    connection: Connection, *, project_id: int, uri: str, name: str, schema: str | None, now: int
) -> CustomEventType:
    """Writes a new event type.

    Raises:
        AlreadyThere: The project has one of this URI or of this name.
    """
    statement = (
        insert(event_types)
        .values(project_id=project_id, uri=uri, name=name, schema=schema, created_at=now)
        .returning(event_types)
    )
    try:
        return _event_type((await connection.execute(statement)).one())
    except exc.IntegrityError as error:
        raise AlreadyThere(f"There is an event type {uri} or named {name}.") from error


async def find_event_type(
    connection: Connection, *, project_id: int, uri_or_name: str
) -> CustomEventType | None:
    """An event type by its URI or its short name; a name is never a URI."""
    found = await connection.execute(
        select(event_types).where(
            event_types.c.project_id == project_id,
            or_(event_types.c.uri == uri_or_name, event_types.c.name == uri_or_name),
        )
    )
    row = found.one_or_none()
    return None if row is None else _event_type(row)


async def page_of_event_types(
    connection: Connection, *, project_id: int, after_id: int, limit: int
) -> Sequence[CustomEventType]:
    """A page of event types in the order in which they were registered."""
    found = await connection.execute(
        select(event_types)
        .where(event_types.c.project_id == project_id, event_types.c.id > after_id)
        .order_by(event_types.c.id)
        .limit(limit)
    )
    return [_event_type(row) for row in found]


async def uris_of_event_types(connection: Connection, project_id: int) -> Sequence[str]:
    """The URIs of a project's own event types in the order in which they were registered."""
    found = await connection.execute(
        select(event_types.c.uri)
        .where(event_types.c.project_id == project_id)
        .order_by(event_types.c.id)
    )
    return [row.uri for row in found]


async def count_event_types(connection: Connection, project_id: int) -> int:
    """How many event types a project registered."""
    found = await connection.execute(
        select(func.count()).where(event_types.c.project_id == project_id)
    )
    return int(found.scalar_one())


async def remove_event_type(connection: Connection, event_type_id: int) -> None:
    """Deletes an event type; events of it that are on their way stay on it."""
    await connection.execute(delete(event_types).where(event_types.c.id == event_type_id))

"""The catalogue of event types: of the specifications, and those that operators register."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.control.event_schemas import require_compilable, require_valid
from ssf.protocol.errors import MalformedEvent, UnknownEventType
from ssf.protocol.event_types import (
    EVENT_CLASSES,
    EVENT_TYPES,
    OAUTH_EVENT_TYPE_URIS,
    PROTOCOL_EVENT_TYPE_URIS,
    EventType,
    find_event_type,
)
from ssf.protocol.events import example_payload, example_subject
from ssf.protocol.json_values import copy_json, quote, require_object, require_plain_json
from ssf.protocol.subjects import Subject
from ssf.rules.errors import Conflict, InvalidRequest, NotFound
from ssf.rules.event_schemas import schema_text
from ssf.rules.event_types import (
    MAX_CUSTOM_EVENT_TYPES,
    CustomEventType,
    custom_name,
    event_types_on_offer,
    require_custom_uri,
)
from ssf.rules.receivers import Receiver
from ssf.rules.storage_errors import AlreadyThere
from ssf.store import event_types, projects
from ssf.store.database import Connection, Database

CUSTOM = "custom"
"""The family of event types that operators registered."""

_FIRST_CUSTOM_POSITION = 1_000
"""In lists, those of the specifications come first; they are fewer than this."""

_ANY_SUBJECT = {"format": "email", "email": "user@example.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMember:
    """A member of an event, for people.

    Attributes:
        kind: What it takes, such as `string` or `LOW|MEDIUM|HIGH`.
    """

    name: str
    required: bool
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEventType:
    """An event type, for people.

    Attributes:
        position: Where it stands in lists; >= 1.
        family: `ssf`, `caep`, `risc`, `scim`, `oauth` or `custom`.
        deprecated: Whether its specification tells new code to use another one.
        emitted_by_producers: Whether producers may emit it; the others we make ourselves.
        members: What its definition names.
        subject_formats: Formats of the subject that it may have; empty for any.
        example: A payload that is valid, or None when we know none.
        example_subject: A subject with which it may be emitted.
        schema: JSON Schema of the payload of a custom type, or None.
    """

    position: int
    uri: str
    name: str
    family: str
    deprecated: bool
    emitted_by_producers: bool
    members: tuple[ShownMember, ...]
    subject_formats: tuple[str, ...]
    example: dict[str, Any] | None
    example_subject: dict[str, Any]
    schema: dict[str, Any] | None


class EventCatalogue:
    """Which event types there are, for the rest of this layer."""

    def __init__(self, database: Database, *, oauth_events: bool) -> None:
        """Prepares.

        Args:
            oauth_events: Whether the types of the OAuth draft of 2018 are on.
        """
        self._database = database
        self._oauth_events = oauth_events

    async def find(
        self, project_id: int, uri_or_name: str, *, field: str
    ) -> EventType | CustomEventType:
        """An event type by its URI or its short name; its own connection is opened if need be.

        Args:
            field: Path of `uri_or_name` in the request, for errors.

        Raises:
            UnknownEventType: There is none in this project.
        """
        try:
            found = find_event_type(uri_or_name, field=field)
        except UnknownEventType:
            async with self._database.reading() as connection:
                custom = await event_types.find_event_type(
                    connection, project_id=project_id, uri_or_name=uri_or_name
                )
            if custom is None:
                raise
            return custom
        if not self.is_on(found):
            raise UnknownEventType(
                f"{quote(found.name)} is of the OAuth draft of 2018, whose event types are off; "
                "SSF_OAUTH_EVENTS=1 turns them on",
                field=field,
            )
        return found

    def is_on(self, event_type: EventType) -> bool:
        """Whether this transmitter knows a type of the specifications."""
        return self._oauth_events or event_type.uri not in OAUTH_EVENT_TYPE_URIS

    async def offered_to(self, connection: Connection, receiver: Receiver) -> tuple[str, ...]:
        """URIs of the event types on offer to a receiver: `events_supported` of its streams."""
        custom = await event_types.uris_of_event_types(connection, receiver.project_id)
        return self._offered_to(receiver, custom)

    async def offered_to_each(self, found: Sequence[Receiver]) -> Sequence[tuple[str, ...]]:
        """As `offered_to`, of several receivers of one project, on a connection of its own."""
        if not found:
            return []
        async with self._database.reading() as connection:
            custom = await event_types.uris_of_event_types(connection, found[0].project_id)
        return [self._offered_to(receiver, custom) for receiver in found]

    def _offered_to(self, receiver: Receiver, custom: Sequence[str]) -> tuple[str, ...]:
        return event_types_on_offer(
            receiver.events_supported, custom, oauth_events=self._oauth_events
        )


def checked_payload(
    event_type: EventType | CustomEventType, payload: object, *, field: str
) -> dict[str, Any]:
    """The payload to store, once it is known to fit the event type.

    Raises:
        MalformedEvent: With the path of the member that is wrong.
    """
    if isinstance(event_type, EventType):
        event_class = EVENT_CLASSES[event_type.uri]
        return event_class.from_payload(payload, field=field).to_payload()
    members = require_object(payload, field, MalformedEvent)
    require_plain_json(members, field, MalformedEvent)
    copied: dict[str, Any] = copy_json(members)
    if event_type.schema is not None:
        require_valid(copied, event_type.schema, field=field)
    return copied


def require_subject(
    event_type: EventType | CustomEventType, subject: Subject, *, field: str
) -> None:
    """Refuses a subject that events of this type are not about; custom ones are about any.

    Raises:
        MalformedSubject: With the path of the member that is wrong.
    """
    if isinstance(event_type, EventType):
        EVENT_CLASSES[event_type.uri].require_subject(subject, field=field)


class EventTypes:
    """What operators may do with event types."""

    def __init__(self, database: Database, clock: Clock, catalogue: EventCatalogue) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue

    async def add(
        self, caller: Caller, *, uri: str, name: str | None, schema: dict[str, Any] | None
    ) -> ShownEventType:
        """Registers an event type. Streams that asked for it before deliver it from now on.

        Raises:
            Conflict: The URI or the name is taken, or the project has as many as it may have.
            InvalidRequest: The URI, the name or the schema is not acceptable.
            ProtocolError: The schema is nested too deeply, or not JSON that we store.
        """
        require_custom_uri(uri)
        chosen = custom_name(uri, name)
        text = None if schema is None else schema_text(schema)
        if text is not None:
            require_compilable(text)
        try:
            async with self._database.transaction() as transaction:
                await projects.lock_project(transaction, caller.project_id)
                count = await event_types.count_event_types(transaction, caller.project_id)
                if count >= MAX_CUSTOM_EVENT_TYPES:
                    raise Conflict(
                        f"There are {count} event types of your own, which is the limit; "
                        "remove one first."
                    )
                added = await event_types.add_event_type(
                    transaction,
                    project_id=caller.project_id,
                    uri=uri,
                    name=chosen,
                    schema=text,
                    now=self._clock.now(),
                )
        except AlreadyThere:
            raise Conflict(
                f"There is an event type of this URI, or one named {chosen}; "
                "choose others, or remove it first.",
                field="uri" if name is None else "name",
            ) from None
        return _shown_custom(added)

    async def page(self, caller: Caller, *, after: int, limit: int) -> Sequence[ShownEventType]:
        """A page of event types, those of the specifications first, then in order of adding.

        Args:
            after: The position after which the page begins.
        """
        specified = [
            _shown_specified(position, event_type)
            for position, event_type in enumerate(EVENT_TYPES.values(), start=1)
            if position > after and self._catalogue.is_on(event_type)
        ][:limit]
        async with self._database.reading() as connection:
            custom = await event_types.page_of_event_types(
                connection,
                project_id=caller.project_id,
                after_id=max(after - _FIRST_CUSTOM_POSITION, 0),
                limit=limit - len(specified),
            )
        return [*specified, *(_shown_custom(one) for one in custom)]

    async def show(self, caller: Caller, uri_or_name: str) -> ShownEventType:
        """One event type.

        Raises:
            NotFound: There is none of this URI or short name.
        """
        found = await self._found(caller, uri_or_name)
        if isinstance(found, CustomEventType):
            return _shown_custom(found)
        return _shown_specified([*EVENT_TYPES].index(found.uri) + 1, found)

    async def remove(self, caller: Caller, uri_or_name: str) -> None:
        """Removes an event type: nobody may emit it any more, and no stream delivers it.

        What was emitted before is still delivered.

        Raises:
            InvalidRequest: It is one of the specifications.
            NotFound: There is none of this URI or short name.
        """
        found = await self._found(caller, uri_or_name)
        if isinstance(found, EventType):
            raise InvalidRequest(
                f"{found.name} is of a specification and stays; what is on offer to a receiver "
                "is said with its events_supported.",
                field="type",
            )
        async with self._database.transaction() as transaction:
            await event_types.remove_event_type(transaction, found.id)

    async def _found(self, caller: Caller, uri_or_name: str) -> EventType | CustomEventType:
        try:
            return await self._catalogue.find(caller.project_id, uri_or_name, field="type")
        except UnknownEventType as error:
            raise NotFound(f"{error.reason}.", field="type") from None


def _shown_specified(position: int, event_type: EventType) -> ShownEventType:
    event_class = EVENT_CLASSES[event_type.uri]
    return ShownEventType(
        position=position,
        uri=event_type.uri,
        name=event_type.name,
        family=event_type.family,
        deprecated=event_type.deprecated,
        emitted_by_producers=event_type.uri not in PROTOCOL_EVENT_TYPE_URIS,
        members=tuple(
            ShownMember(name=member.name, required=member.required, kind=member.read.kind)
            for member in event_class.table
        ),
        subject_formats=event_class.subject_formats,
        example=example_payload(event_type.uri),
        example_subject=example_subject(event_type.uri),
        schema=None,
    )


def _shown_custom(event_type: CustomEventType) -> ShownEventType:
    schema = None if event_type.schema is None else json.loads(event_type.schema)
    return ShownEventType(
        position=_FIRST_CUSTOM_POSITION + event_type.id,
        uri=event_type.uri,
        name=event_type.name,
        family=CUSTOM,
        deprecated=False,
        emitted_by_producers=True,
        members=_members_of(schema or {}),
        subject_formats=(),
        example=_example_of(event_type, schema or {}),
        example_subject=dict(_ANY_SUBJECT),
        schema=schema,
    )


def _members_of(schema: dict[str, Any]) -> tuple[ShownMember, ...]:
    """The members that a schema names at its top, as far as it says so plainly."""
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    return tuple(
        ShownMember(name=name, required=name in required, kind=_kind_of(properties.get(name)))
        for name in dict.fromkeys((*properties, *required))
    )


def _kind_of(schema: Any) -> str:
    if not isinstance(schema, dict) or "type" not in schema:
        return "any"
    kinds = schema["type"]
    return kinds if isinstance(kinds, str) else "|".join(kinds)


def _example_of(event_type: CustomEventType, schema: dict[str, Any]) -> dict[str, Any] | None:
    """A payload that fits: one of the schema's `examples`, or the empty one."""
    for payload in (*schema.get("examples", []), {}):
        try:
            return checked_payload(event_type, payload, field="example")
        except MalformedEvent:
            continue
    return None

"""From an event type URI and a payload to a typed event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ssf.protocol.errors import MalformedEvent, UnknownEventType
from ssf.protocol.event_payloads import EventPayload
from ssf.protocol.event_types import EVENT_CLASSES, EventType
from ssf.protocol.json_values import copy_json, quote, require_object


class Event(Protocol):
    """An event of any family, known or not."""

    @property
    def event_type(self) -> EventType:
        """Which event this is."""

    def to_payload(self) -> dict[str, Any]:
        """Return a fresh JSON object: the value under the event type's URI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """A received event of a type that is not in the registry.

    Attributes:
        uri: Its event type URI.
        payload: The JSON object under it, unread.
    """

    uri: str
    payload: Mapping[str, Any]

    @property
    def event_type(self) -> EventType:
        """A stand-in: named by its URI, of family `unknown`."""
        return EventType(uri=self.uri, name=self.uri, family="unknown")

    def to_payload(self) -> dict[str, Any]:
        """Return the members as they came."""
        return dict(self.payload)


def parse_event(uri: str, payload: object, *, field: str = "events", strict: bool = True) -> Event:
    """Read one entry of the `events` claim.

    Args:
        uri: The event type URI, compared case-sensitively.
        payload: Decoded JSON.
        field: Path of the `events` object, for errors: they name `<field>.<uri>.<member>`.
        strict: True for what we emit: all rules, and only registered types. False for what we
            receive: see `event_payloads`; a type that we do not know is an `UnknownEvent`.

    Raises:
        UnknownEventType: Strictly, the URI is not registered.
        MalformedEvent: The payload breaks the event's definition.
    """
    at = f"{field}.{uri}"
    event_class = EVENT_CLASSES.get(uri)
    if event_class is not None:
        return event_class.from_payload(payload, field=at, strict=strict)
    if strict:
        raise UnknownEventType(f"{quote(uri)} is not a known event type URI", field=field)
    return UnknownEvent(uri=uri, payload=require_object(payload, at, MalformedEvent))


def example_payload(uri: str) -> dict[str, Any]:
    """Return a fresh minimal payload of an event type, valid strictly; for people and tests.

    Raises:
        UnknownEventType: The URI is not registered.
    """
    example: dict[str, Any] = copy_json(_class_of(uri).example)
    return example


def example_subject(uri: str) -> dict[str, Any]:
    """Return a fresh subject about which an event of this type may be emitted.

    Raises:
        UnknownEventType: The URI is not registered.
    """
    example: dict[str, Any] = copy_json(_class_of(uri).example_subject)
    return example


def _class_of(uri: str) -> type[EventPayload]:
    event_class = EVENT_CLASSES.get(uri)
    if event_class is None:
        raise UnknownEventType(f"{quote(uri)} is not a known event type URI", field="event_type")
    return event_class

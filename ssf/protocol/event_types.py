"""Which event types there are: URIs, short names, families.

A further family is one file like `caep_events` and one entry in `_FAMILIES`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ssf.protocol import caep_events, oauth_events, risc_events, scim_events, ssf_events
from ssf.protocol.caep_events import (
    ASSURANCE_LEVEL_CHANGE,
    CREDENTIAL_CHANGE,
    DEVICE_COMPLIANCE_CHANGE,
    RISK_LEVEL_CHANGE,
    SESSION_ESTABLISHED,
    SESSION_PRESENTED,
    SESSION_REVOKED,
    TOKEN_CLAIMS_CHANGE,
)
from ssf.protocol.errors import UnknownEventType
from ssf.protocol.event_payloads import EventPayload, EventType
from ssf.protocol.json_values import quote, type_name
from ssf.protocol.ssf_events import STREAM_UPDATED, VERIFICATION

__all__ = [
    "ASSURANCE_LEVEL_CHANGE",
    "CAEP_EVENT_TYPE_URIS",
    "CREDENTIAL_CHANGE",
    "DEVICE_COMPLIANCE_CHANGE",
    "EVENT_CLASSES",
    "EVENT_TYPES",
    "OAUTH_EVENT_TYPE_URIS",
    "PROTOCOL_EVENT_TYPE_URIS",
    "RISC_EVENT_TYPE_URIS",
    "RISK_LEVEL_CHANGE",
    "SCIM_EVENT_TYPE_URIS",
    "SESSION_ESTABLISHED",
    "SESSION_PRESENTED",
    "SESSION_REVOKED",
    "SPECIFIED_PREFIXES",
    "STREAM_UPDATED",
    "TOKEN_CLAIMS_CHANGE",
    "VERIFICATION",
    "EventType",
    "find_event_type",
]

_FAMILIES: Final = (
    ssf_events.EVENTS,
    caep_events.EVENTS,
    risc_events.EVENTS,
    scim_events.EVENTS,
    oauth_events.EVENTS,
)

SPECIFIED_PREFIXES: Final = (
    "https://schemas.openid.net/secevent/",
    "urn:ietf:params:scim:event:",
)
"""Where the specifications define event type URIs, those of drafts and of the future included."""

EVENT_CLASSES: Final[Mapping[str, type[EventPayload]]] = MappingProxyType(
    {event.event_type.uri: event for family in _FAMILIES for event in family}
)
"""Event type URI to the class that reads its payload."""

EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {uri: event.event_type for uri, event in EVENT_CLASSES.items()}
)
"""The registry, by URI, families in order."""

CAEP_EVENT_TYPE_URIS: Final[tuple[str, ...]] = tuple(
    event.event_type.uri for event in caep_events.EVENTS
)

RISC_EVENT_TYPE_URIS: Final[tuple[str, ...]] = tuple(
    event.event_type.uri for event in risc_events.EVENTS
)

SCIM_EVENT_TYPE_URIS: Final[tuple[str, ...]] = tuple(
    event.event_type.uri for event in scim_events.EVENTS
)

OAUTH_EVENT_TYPE_URIS: Final[tuple[str, ...]] = tuple(
    event.event_type.uri for event in oauth_events.EVENTS
)
"""Of a draft that expired; a transmitter offers them only when told to."""

PROTOCOL_EVENT_TYPE_URIS: Final[tuple[str, ...]] = tuple(
    event.event_type.uri for event in ssf_events.EVENTS
)
"""Events about a stream, which the transmitter sends and producers may not emit."""

_BY_NAME: Final[Mapping[str, EventType]] = MappingProxyType(
    {event_type.name: event_type for event_type in EVENT_TYPES.values()}
)


def find_event_type(uri_or_name: object, *, field: str = "event_type") -> EventType:
    """Find an event type by its URI or short name, both case-sensitive.

    Args:
        uri_or_name: `session-revoked`, or the whole URI.

    Raises:
        UnknownEventType: It is neither, or no string.
    """
    if not isinstance(uri_or_name, str):
        raise UnknownEventType(f"must be a string, not {type_name(uri_or_name)}", field=field)
    found = EVENT_TYPES.get(uri_or_name) or _BY_NAME.get(uri_or_name)
    if found is None:
        raise UnknownEventType(f"{quote(uri_or_name)} is not a known event type", field=field)
    return found

"""Event types: those that an operator may register, and those on offer to a receiver."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    EVENT_TYPES,
    OAUTH_EVENT_TYPE_URIS,
    RISC_EVENT_TYPE_URIS,
    SCIM_EVENT_TYPE_URIS,
    SPECIFIED_PREFIXES,
)
from ssf.protocol.identifier_syntax import comparable_uri
from ssf.protocol.stream_configuration import MAX_EVENT_URI_CHARS
from ssf.rules.errors import InvalidRequest

MAX_NAME_CHARS = 64
MAX_CUSTOM_EVENT_TYPES = 500
"""Of one project; each is shown in the configuration of every stream that it is on offer to."""

# No colon, so that a name is never a URI.
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
_LAST_PART = re.compile(r"[^/:#?]*\Z")
_SPECIFIED_NAMES = frozenset(event_type.name for event_type in EVENT_TYPES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEventType:
    """An event type that an operator registered beside those of the specifications.

    Attributes:
        id: Row number.
        uri: The key in `events`; unique in the project.
        name: Short name; unique in the project.
        schema: JSON Schema of its payload as text; None: any object is a payload.
        created_at: Microseconds UTC.
    """

    id: int
    project_id: int
    uri: str
    name: str
    schema: str | None
    created_at: int


def require_custom_uri(uri: str) -> None:
    """Refuses a URI under which no event type may be registered.

    Raises:
        InvalidRequest: It is no absolute URI, too long, or the specifications' to define.
    """
    comparable = comparable_uri(uri) if len(uri) <= MAX_EVENT_URI_CHARS else None
    if comparable is None:
        raise InvalidRequest(
            "uri is an absolute URI of your own, such as https://example.com/events/door-opened, "
            f"of at most {MAX_EVENT_URI_CHARS} characters.",
            field="uri",
        )
    if uri in _SPECIFIED_NAMES or comparable.startswith(SPECIFIED_PREFIXES):
        raise InvalidRequest(
            "uri is one that the specifications define or may define; choose one of your own, "
            "such as https://example.com/events/door-opened.",
            field="uri",
        )


def custom_name(uri: str, name: str | None) -> str:
    """The short name of an event type that is to be registered.

    Args:
        uri: Its URI.
        name: What the operator wants it to be; None for the last part of the URI.

    Raises:
        InvalidRequest: It is no short name, or that of a type of the specifications.
    """
    found = _LAST_PART.search(uri)
    chosen = name if name is not None or found is None else found[0]
    if chosen is None or not _NAME.fullmatch(chosen):
        hint = "" if name is not None else "The URI does not end in one, so say it: "
        raise InvalidRequest(
            f"{hint}name is 1 to {MAX_NAME_CHARS} of A-Z a-z 0-9 . _ - and begins with a letter "
            "or digit.",
            field="name",
        )
    if chosen in _SPECIFIED_NAMES:
        raise InvalidRequest(
            f"{chosen} is the name of an event type of the specifications; choose another name.",
            field="name",
        )
    return chosen


def event_types_on_offer(
    restricted_to: Sequence[str] | None, custom: Iterable[str], *, oauth_events: bool
) -> tuple[str, ...]:
    """The event types on offer to a receiver, `events_supported` of its streams (SSF 1.0 §8.1.1).

    Args:
        restricted_to: What the operator offers to it; None for everything.
        custom: URIs of the project's own types, in the order in which they were registered.
        oauth_events: Whether the types of the OAuth draft are on.

    Returns:
        Everything is CAEP, RISC, SCIM, OAuth, and the project's own, in this order. A list of
        the receiver's own keeps its order and loses what does not exist any more.
    """
    everything = (
        *CAEP_EVENT_TYPE_URIS,
        *RISC_EVENT_TYPE_URIS,
        *SCIM_EVENT_TYPE_URIS,
        *(OAUTH_EVENT_TYPE_URIS if oauth_events else ()),
        *custom,
    )
    if restricted_to is None:
        return everything
    existing = frozenset(everything)
    return tuple(uri for uri in restricted_to if uri in existing)

"""Events of the framework itself: about a stream, not about a principal.

Their `sub_id` is the stream, `{"format": "opaque", "id": <stream_id>}`; they may be sent though
they stand in none of the stream's event lists. Producers may not emit them.

Source: SSF 1.0 §8.1.4.1 (verification), §8.1.5 (stream-updated).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

from ssf.protocol.event_payloads import EventPayload, EventType, Member, any_text, one_of

_BASE: Final = "https://schemas.openid.net/secevent/ssf/event-type/"

VERIFICATION: Final = f"{_BASE}verification"
STREAM_UPDATED: Final = f"{_BASE}stream-updated"

_LEGACY_BASE: Final = "https://schemas.openid.net/secevent/sse/event-type/"

LEGACY_URIS: Final[Mapping[str, str]] = MappingProxyType(
    {
        VERIFICATION: f"{_LEGACY_BASE}verification",
        STREAM_UPDATED: f"{_LEGACY_BASE}stream-updated",
    }
)
"""Event type URI to the one that the drafts of 2021 had (SSE 1.0 implementer's draft 1)."""

STREAM_STATUSES: Final = ("enabled", "paused", "disabled")
"""Values of `status` (SSF 1.0 §8.1.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(EventPayload):
    """Proof that a stream works.

    Attributes:
        state: What the receiver sent with its request, unchanged, also the empty string. None
            when the transmitter started the verification or the receiver sent none: then the
            member is absent, never null.
    """

    event_type: ClassVar[EventType] = EventType(uri=VERIFICATION, name="verification", family="ssf")
    table: ClassVar[tuple[Member, ...]] = (Member(name="state", read=any_text),)
    example: ClassVar[Mapping[str, Any]] = {"state": "VGhpcyBpcyBhbiBleGFtcGxlLg"}

    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUpdated(EventPayload):
    """The transmitter changed the status of a stream on its own.

    Attributes:
        status: The new status, `enabled`, `paused` or `disabled`. The specification does not
            say MUST, so another word from a peer is kept as it is.
        reason: Why, for people; None when not said.
    """

    event_type: ClassVar[EventType] = EventType(
        uri=STREAM_UPDATED, name="stream-updated", family="ssf"
    )
    table: ClassVar[tuple[Member, ...]] = (
        Member(
            name="status", read=one_of(*STREAM_STATUSES, closed_on_receipt=False), required=True
        ),
        Member(name="reason", read=any_text),
    )
    example: ClassVar[Mapping[str, Any]] = {"status": "paused"}

    status: str
    reason: str | None = None


EVENTS: Final[tuple[type[EventPayload], ...]] = (Verification, StreamUpdated)

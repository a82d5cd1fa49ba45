"""The configuration of a stream: what a receiver may write, and how each dialect shows it.

Sources: SSF 1.0 §8.1.1; for the older profile SSE 1.0 implementer's draft 1 §7.1.1.
`delivery` has a file of its own, `stream_delivery`, whose names are offered here too.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from ssf.protocol.errors import MalformedStreamConfiguration, UnknownSubjectFormat
from ssf.protocol.json_values import quote, require_text, type_name
from ssf.protocol.stream_delivery import (
    LEGACY_METHOD_URIS,
    METHODS_BY_LEGACY_URI,
    Delivery,
    DeliveryMethod,
    RequestedDelivery,
    parse_delivery,
)
from ssf.protocol.subject_formats import FORMAT_NAMES, OLD_FORMAT_NAMES

__all__ = [
    "LEGACY_METHOD_URIS",
    "METHODS_BY_LEGACY_URI",
    "SSE_V1_READ_ONLY",
    "SSE_V1_WRITABLE",
    "SSF_1_0_READ_ONLY",
    "SSF_1_0_WRITABLE",
    "Delivery",
    "DeliveryMethod",
    "RequestedDelivery",
    "StreamConfiguration",
    "parse_delivery",
    "parse_description",
    "parse_events_requested",
    "parse_format",
    "parse_stream_id",
    "require_unreserved",
]

SSF_1_0_WRITABLE: Final = ("events_requested", "delivery", "description")
"""Receiver-supplied: PATCH sets those present, PUT deletes those absent."""

SSF_1_0_READ_ONLY: Final = (
    "iss",
    "aud",
    "events_supported",
    "events_delivered",
    "min_verification_interval",
    "inactivity_timeout",
)
"""Transmitter-supplied: may be sent, must then be equal. `stream_id` names the stream instead."""

SSE_V1_WRITABLE: Final = ("events_requested", "delivery", "format")
"""As `SSF_1_0_WRITABLE`; POST replaces, so absent means deleted."""

SSE_V1_READ_ONLY: Final = (
    "iss",
    "aud",
    "events_supported",
    "events_delivered",
    "min_verification_interval",
    "stream_id",
)
"""As `SSF_1_0_READ_ONLY`. The profile has no `stream_id`; one that is sent must be the right one."""

MAX_EVENTS_REQUESTED: Final = 1000
MAX_EVENT_URI_CHARS: Final = 1024
MAX_DESCRIPTION_CHARS: Final = 1024
MAX_STREAM_ID_CHARS: Final = 255

# Characters that reorder or hide what stands beside them on a screen (Unicode TR36 §2.5).
_BIDI_OR_INVISIBLE = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfiguration:
    """A stream as its receiver sees it.

    Attributes:
        stream_id: Its name, unique among streams.
        iss: Issuer of its SETs, identical to the metadata's.
        aud: Audiences of its SETs, at least one.
        events_supported: What the transmitter could deliver.
        events_requested: What the receiver asked for, known to us or not; None when it never
            asked, or deleted the property.
        events_delivered: What is delivered; shown even when empty.
        delivery: How it is delivered.
        min_verification_interval: Seconds between verification requests; None when not stated.
        description: The receiver's note; None for none.
        inactivity_timeout: Seconds, >= 1, after which an unused stream is paused, disabled or
            deleted; None for never.
        format: Older profile: the subject identifier format wanted; None for any.
    """

    stream_id: str
    iss: str
    aud: tuple[str, ...]
    events_supported: tuple[str, ...]
    events_requested: tuple[str, ...] | None
    events_delivered: tuple[str, ...]
    delivery: Delivery
    min_verification_interval: int | None
    description: str | None
    inactivity_timeout: int | None = None
    format: str | None = None

    def to_ssf_1_0(self) -> dict[str, Any]:
        """Return the JSON object of SSF 1.0 §8.1.1. Properties that are None are left out."""
        return _without_none(
            stream_id=self.stream_id,
            **self._shared(),
            delivery=self.delivery.to_wire(),
            description=self.description,
            inactivity_timeout=self.inactivity_timeout,
        )

    def to_sse_v1(self) -> dict[str, Any]:
        """Return the JSON object of the older profile.

        One stream for each receiver, so no `stream_id`; method URIs of before June 2023; neither
        `description` nor `inactivity_timeout`, which it does not know; `format` when set.
        `events_requested` also when the receiver never said, so that what is read can be sent back.
        """
        shared = self._shared()
        return _without_none(
            **shared | {"events_requested": shared["events_requested"] or []},
            delivery=self.delivery.to_wire(legacy_method_uris=True),
            format=self.format,
        )

    def _shared(self) -> dict[str, Any]:
        requested = self.events_requested
        return {
            "iss": self.iss,
            "aud": self.aud[0] if len(self.aud) == 1 else list(self.aud),
            "events_supported": list(self.events_supported),
            "events_requested": None if requested is None else list(requested),
            "events_delivered": list(self.events_delivered),
            "min_verification_interval": self.min_verification_interval,
        }


def _without_none(**properties: Any) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}


def parse_events_requested(value: object, *, field: str = "events_requested") -> tuple[str, ...]:
    """Read the event types that a receiver wants.

    Args:
        value: An array of 0 to 1000 non-empty strings of at most 1024 characters.
        field: Path of the value, for errors.

    Returns:
        Each value once, in the order first seen, also those that we do not support: they are
        shown back and otherwise ignored (SSF 1.0 §8.1.1).

    Raises:
        MalformedStreamConfiguration: Anything else, null included.
    """
    if not isinstance(value, list | tuple):
        raise MalformedStreamConfiguration(
            f"must be an array of strings, not {type_name(value)}", field=field
        )
    if len(value) > MAX_EVENTS_REQUESTED:
        raise MalformedStreamConfiguration(
            f"must have at most {MAX_EVENTS_REQUESTED} entries, not {len(value)}", field=field
        )
    uris = (
        require_text(
            uri, f"{field}[{index}]", MalformedStreamConfiguration, max_chars=MAX_EVENT_URI_CHARS
        )
        for index, uri in enumerate(value)
    )
    return tuple(dict.fromkeys(uris))


def parse_description(value: object, *, field: str = "description") -> str | None:
    """Read a receiver's note about its stream.

    Our decision: longer than 1024 characters is refused rather than cut, so that nobody reads
    back another text than was written; and so are characters that hide or reorder others, since
    operators see the note beside other receivers'.

    Args:
        value: A string, or null to have none.
        field: Path of the value, for errors.

    Returns:
        The text, or None for null.

    Raises:
        MalformedStreamConfiguration: Anything else.
    """
    if value is None:
        return None
    note = require_text(
        value, field, MalformedStreamConfiguration, max_chars=MAX_DESCRIPTION_CHARS, min_chars=0
    )
    if _BIDI_OR_INVISIBLE.search(note):
        raise MalformedStreamConfiguration(
            "must not hold invisible or direction-changing characters", field=field
        )
    return note


def parse_format(value: object, *, field: str = "format") -> str | None:
    """Read the subject identifier format that a receiver of the older profile wants.

    Args:
        value: A format name, also in an old spelling such as `iss-sub`; null for none.
        field: Path of the value, for errors.

    Returns:
        The name in today's spelling, or None for null.

    Raises:
        MalformedStreamConfiguration: Not a string.
        UnknownSubjectFormat: Not a format that we know.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedStreamConfiguration(f"must be a string, not {type_name(value)}", field=field)
    name = OLD_FORMAT_NAMES.get(value, value)
    if name not in FORMAT_NAMES:
        raise UnknownSubjectFormat(
            f"{quote(value)} is not one of {', '.join(sorted(FORMAT_NAMES))}", field=field
        )
    return name


def parse_stream_id(value: object, *, field: str = "stream_id") -> str:
    """Read the name of a stream, without asking whether there is one.

    Raises:
        MalformedStreamConfiguration: Not a string of 1 to 255 characters without controls.
    """
    return require_text(value, field, MalformedStreamConfiguration, max_chars=MAX_STREAM_ID_CHARS)


def require_unreserved(value: object, *, field: str = "stream_id") -> str:
    """Check a stream name that we are about to give out.

    Raises:
        MalformedStreamConfiguration: Not 1 to 255 of the unreserved characters of RFC 3986,
            `A-Za-z0-9-._~`, which SSF 1.0 §8.1.1 asks for.
    """
    name = parse_stream_id(value, field=field)
    if not _UNRESERVED.fullmatch(name):
        raise MalformedStreamConfiguration("must consist of A-Z a-z 0-9 - . _ ~", field=field)
    return name

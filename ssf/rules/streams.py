"""A stream, and the decisions about its configuration (SSF 1.0 §8.1.1)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ssf.protocol.stream_configuration import DeliveryMethod, RequestedDelivery
from ssf.rules.errors import ReadOnlyMismatch
from ssf.rules.receivers import Receiver
from ssf.rules.stream_status import StreamStatus
from ssf.rules.subject_membership import DefaultSubjects
from ssf.rules.targets import SetShape


class Profile(StrEnum):
    """Through which API a stream was made."""

    SSF = "ssf"
    SSE = "sse"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableProperties:
    """What a receiver may write, all of it (SSF 1.0 §8.1.1, "Receiver-Supplied").

    Attributes:
        events_requested: URIs in first-seen order, unsupported ones kept; None: never said.
        delivery: Method, and for push the URL and the `Authorization` value.
        description: The receiver's words, or None.
        format: Subject format wanted; the older profile only; None when unset.
    """

    events_requested: tuple[str, ...] | None
    delivery: RequestedDelivery
    description: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream as it is stored.

    Attributes:
        id: Row number, and the number of its target.
        stream_id: Its name on the wire.
        method: Push or poll.
        endpoint_url: Where to push; None for poll.
        authorization_sealed: The encrypted `authorization_header`; None when there is none.
        audience: The `aud` of its SETs.
        reason: Why it is in this status, or None.
        last_verification_at: Microseconds UTC of the last accepted request; None before it.
        default_subjects: Whether it holds all subjects or those that were added.
        legacy_event_uris: As the receiver's.
        subject_in_event: Whether CAEP and RISC events carry the subject inside as well.
        inactive_at: Microseconds UTC at which it will have been inactive for too long; None for
            never.
        probe_interval_seconds: How often the transmitter verifies it unasked; None for never.
    """

    id: int
    project_id: int
    stream_id: str
    receiver_id: int
    profile: Profile
    status: StreamStatus
    reason: str | None
    method: DeliveryMethod
    endpoint_url: str | None
    authorization_sealed: str | None = field(repr=False)
    audience: tuple[str, ...]
    events_requested: tuple[str, ...] | None
    description: str | None
    format: str | None
    last_verification_at: int | None
    default_subjects: DefaultSubjects
    legacy_event_uris: bool
    subject_in_event: bool
    inactive_at: int | None
    probe_interval_seconds: int | None
    created_at: int
    updated_at: int

    def is_inactive(self, now: int) -> bool:
        """Whether nothing was heard of its receiver for too long."""
        return self.inactive_at is not None and self.inactive_at <= now


def events_delivered(supported: Collection[str], requested: Iterable[str]) -> tuple[str, ...]:
    """The event types that a stream delivers: supported ∩ requested.

    Args:
        supported: Event type URIs that the transmitter offers to this receiver.
        requested: Event type URIs that the receiver asked for; may name others, may repeat.

    Returns:
        The requested ones that are supported, each once, in the order first asked for. URIs are
        compared character by character.

    Source: SSF 1.0 §8.1.1, `events_delivered`.
    """
    offered = frozenset(supported)
    return tuple(uri for uri in dict.fromkeys(requested) if uri in offered)


def routed_event_types(
    restricted_to: Collection[str] | None, requested: Iterable[str]
) -> tuple[str, ...]:
    """The event types that are routed to a stream once there are such events.

    Whether we know a type is not asked here: one that nobody can emit is routed nowhere, and one
    that is registered later goes to whoever asked for it before.

    Args:
        restricted_to: What the operator offers to this receiver; None for everything.
        requested: What the receiver asked for.
    """
    offered = None if restricted_to is None else frozenset(restricted_to)
    return tuple(uri for uri in dict.fromkeys(requested) if offered is None or uri in offered)


def puts_subject_in_event(receiver: Receiver, profile: Profile) -> bool:
    """Whether events of a stream carry the subject inside, as drafts before 2023 had it."""
    if receiver.subject_in_event is None:
        return profile is Profile.SSE
    return receiver.subject_in_event


def follow_terms(stream: Stream, receiver: Receiver) -> Stream:
    """The stream with what follows from the terms of its receiver, except for `inactive_at`."""
    return replace(
        stream,
        audience=receiver.audience,
        default_subjects=receiver.default_subjects,
        legacy_event_uris=receiver.legacy_event_uris,
        subject_in_event=puts_subject_in_event(receiver, stream.profile),
    )


def set_shape(stream: Stream) -> SetShape:
    """How the SETs of a stream look."""
    return SetShape(
        subject_format=stream.format,
        legacy_event_uris=stream.legacy_event_uris,
        subject_in_event=stream.subject_in_event,
    )


def inactive_at(receiver: Receiver, now: int) -> int | None:
    """When a stream of which something was heard now will have been inactive for too long.

    Returns:
        Microseconds UTC, or None when the receiver has no inactivity timeout.

    Source: SSF 1.0 §8.1.1, `inactivity_timeout`.
    """
    timeout_seconds = receiver.inactivity_timeout_seconds
    return None if timeout_seconds is None else now + timeout_seconds * 1_000_000


def require_unchanged(
    sent: Mapping[str, Any], current: Mapping[str, Any], members: Iterable[str]
) -> None:
    """Refuses a transmitter-supplied property whose value is not the expected one.

    Missing ones have no effect. A null passes only where the stream shows no such property, so
    that a client may echo its own model with nulls in it. URIs and audiences are compared as
    sets, and one audience equals an array of it.

    Args:
        sent: The body.
        current: The configuration as the receiver would read it now.
        members: Names of the transmitter-supplied properties.

    Raises:
        ReadOnlyMismatch: Naming the first one that differs.

    Source: SSF 1.0 §8.1.1.3 and §8.1.1.4; `events_delivered` means the value before the update.
    """
    for name in members:
        if name in sent and not _same(name, sent[name], current.get(name)):
            raise ReadOnlyMismatch(
                f"{name} is supplied by the transmitter and cannot be changed; "
                "leave it out or send the value that you read.",
                field=name,
            )


def _same(name: str, sent: Any, expected: Any) -> bool:
    if name == "aud":
        sent, expected = _as_list(sent), _as_list(expected)
    if isinstance(sent, list) and isinstance(expected, list):
        return all(isinstance(item, str) for item in sent) and set(sent) == set(expected)
    return type(sent) is type(expected) and bool(sent == expected)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def facade_stream(streams: Sequence[Stream]) -> Stream | None:
    """The one stream that the older profile shows, which knows no `stream_id`.

    It is the stream made through the older profile; without one, the receiver's only stream.
    A receiver with several streams made through SSF 1.0 has none to show.
    """
    for stream in streams:
        if stream.profile is Profile.SSE:
            return stream
    return streams[0] if len(streams) == 1 else None

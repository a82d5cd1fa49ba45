"""A target: whatever events are delivered to. An SSF stream is one kind of target."""

from dataclasses import dataclass, field

from ssf.rules.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class SetShape:
    """How the SETs of a target differ from plain SSF 1.0; the default: they do not.

    Attributes:
        subject_format: The subject identifier format that it wants; None for any.
        legacy_event_uris: Whether verification and stream-updated carry the URIs of 2021.
        subject_in_event: Whether CAEP and RISC events carry the subject inside as well.
    """

    subject_format: str | None = None
    legacy_event_uris: bool = False
    subject_in_event: bool = False


PLAIN_SHAPE = SetShape()
"""That of SSF 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedTarget:
    """A target that wants an event, as the pipeline needs it.

    Attributes:
        id: Row number.
        is_pushed: Whether a worker is to be woken for it; a poll target waits for its receiver.
        matched_subject_id: Number of the subject in its list by which it wants the event; None
            when it wants all that are not removed, or the event is about the target itself.
        drop_reason: Why the event is written down for it as dropped; None: it is delivered.
    """

    id: int
    is_pushed: bool
    matched_subject_id: int | None = None
    drop_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedTarget:
    """A push target whose lane this worker holds, with everything that a push needs.

    Attributes:
        id: Row number.
        name: Its name on the wire; the `stream_id` of a stream.
        fencing_token: Proof of the lease; each later lease has a larger one.
        lease_expires_at: Microseconds UTC; from then on another worker may lease the lane.
        resumed_at: Microseconds UTC at which the target was last enabled or reached in another
            way; the age of what waits counts from then. 0: never.
        endpoint_url: Where to push.
        authorization_sealed: The encrypted `Authorization` value; None when there is none.
        audience: The `aud` of its SETs.
        notices_only: Whether it is paused or disabled, so that nothing but notices is sent.
        shape: How its SETs look.
        retry_policy: How failures are repeated.
    """

    id: int
    name: str
    fencing_token: int
    lease_expires_at: int
    resumed_at: int
    endpoint_url: str
    authorization_sealed: str | None = field(repr=False)
    audience: tuple[str, ...]
    notices_only: bool = False
    shape: SetShape = PLAIN_SHAPE
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

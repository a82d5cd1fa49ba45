"""A target: whatever events are delivered to. An SSF stream is one kind of target."""

from dataclasses import dataclass, field

from ssf.rules.retry import RetryPolicy


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
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

"""A delivery: one event on its way to one target, and the states it can be in.

    waiting --> delivered      the receiver has it (2xx, or `ack`)
       |-----> dead            given up: refused by the receiver, or too old
       `-----> dropped         the stream was disabled, changed or deleted

`waiting` covers due, in flight and held back: which of these follows from the lane's lease and
the delivery's `next_attempt_at`, so that a crash leaves nothing behind in a state of its own.
"""

from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery stands. Only `waiting` moves."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


class DeliveryKind(StrEnum):
    """What a delivery is for.

    EVENT: something that a producer said. VERIFICATION: proof that the stream works. NOTICE: a
    stream-updated event about the transmitter's own change, which is sent whatever the status.
    """

    EVENT = "event"
    VERIFICATION = "verification"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """A delivery as the worker needs it: everything that goes into the token.

    Attributes:
        id: Row number; grows with time, so it is the order of sending.
        jti: Fixed when the row was made; a repeat carries the same.
        iat: Seconds UTC, fixed when the row was made.
        subject_key: Digest of the canonical subject; equal for the same subject.
        attempts: Attempts whose outcome was recorded.
        invalid_key_count: How many of them were answered `invalid_key`.
        first_due_at: Microseconds UTC.
        event_type: URI.
        subject: JSON text of the `sub_id`.
        payload: JSON text of the event's members.
        toe: Time of the event, JSON number as text, or None.
    """

    id: int
    jti: str
    iat: int
    txn: str | None
    subject_key: bytes
    attempts: int
    invalid_key_count: int
    first_due_at: int
    event_id: str
    event_type: str
    subject: str
    payload: str
    toe: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one attempt came to, as it is written down.

    Attributes:
        delivery_id: Row number.
        state: The new state.
        attempts: Including this one.
        invalid_key_count: Including this one.
        next_attempt_at: Microseconds UTC; meaningless unless `state` is waiting.
        outcome: Stable word: `delivered`, `timeout`, `server_error`, ...
        status: HTTP status, or None when there was none.
        description: The receiver's words or ours, bounded, or None.
        at: Microseconds UTC of the end of the attempt.
        gate_seconds: The whole target asked to be left alone for so long; None when it did not.
    """

    delivery_id: int
    state: DeliveryState
    attempts: int
    invalid_key_count: int
    next_attempt_at: int
    outcome: str
    status: int | None
    description: str | None
    at: int
    gate_seconds: int | None = None

"""Why did this event go to this stream, or not? One sentence and one word, from what is stored.

What was decided when the event came in is in the delivery that was made then. Where none was
made, the answer is judged by the stream as it is now, which may have been changed since; then the
answer says so.
"""

from dataclasses import dataclass
from enum import StrEnum

from ssf.rules.deliveries import DeliveryKind, DeliveryState
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream
from ssf.rules.subject_membership import DefaultSubjects, Membership, is_wanted


class Why(StrEnum):
    """What decided."""

    ALL_SUBJECTS = "all_subjects"
    ADDED_SUBJECT = "added_subject"
    STREAM_ITSELF = "stream_itself"
    STREAM_IS_YOUNGER = "stream_is_younger"
    ABOUT_ANOTHER_STREAM = "about_another_stream"
    EVENT_TYPE_NOT_REQUESTED = "event_type_not_requested"
    AUDIENCE_NOT_NAMED = "audience_not_named"
    SUBJECT_NOT_ADDED = "subject_not_added"
    SUBJECT_REMOVED = "subject_removed"
    CHANGED_SINCE = "changed_since"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedDelivery:
    """What the explanation needs to know of a delivery that was made.

    Attributes:
        kind: What it is for.
        state: Where it stands.
        attempts: How often it was sent or handed out.
        last_outcome: What the last attempt came to, or why it was dropped.
        matched_subject_id: Number of the subject that decided, 0 for the stream's own; None: all
            subjects are in.
    """

    kind: DeliveryKind
    state: DeliveryState
    attempts: int
    last_outcome: str | None
    matched_subject_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an event went to a stream or not.

    Attributes:
        verdict: `delivered`, `waiting`, `dead`, `dropped` or `not_sent`.
        why: What decided whether the stream wants the event.
        description: For people.
    """

    verdict: str
    why: Why
    description: str


def explain_made(delivery: ExplainedDelivery, stream: Stream) -> Explanation:
    """Why an event for which a delivery was made stands where it stands."""
    if delivery.kind is not DeliveryKind.EVENT or delivery.matched_subject_id == 0:
        why, because = Why.STREAM_ITSELF, "It is about the stream itself."
    elif delivery.matched_subject_id is None:
        why, because = Why.ALL_SUBJECTS, "The stream holds all subjects that it did not remove."
    else:
        why, because = Why.ADDED_SUBJECT, "The stream holds a subject that matches."
    return Explanation(
        verdict=delivery.state.value,
        why=why,
        description=f"{because} {_whereabouts(delivery, stream)}",
    )


def _whereabouts(delivery: ExplainedDelivery, stream: Stream) -> str:
    tries = f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"
    match delivery.state:
        case DeliveryState.DELIVERED:
            return f"The receiver has it, after {tries}."
        case DeliveryState.DEAD:
            return f"It was given up after {tries}: {delivery.last_outcome}."
        case DeliveryState.DROPPED:
            return f"It was dropped: {delivery.last_outcome}."
        case DeliveryState.WAITING:
            if stream.status is StreamStatus.PAUSED and delivery.kind is not DeliveryKind.NOTICE:
                return f"It is held: the stream is paused. There were {tries}."
            if delivery.attempts == 0:
                return "It waits for its first attempt, or behind an earlier event of its subject."
            return f"It waits after {tries}; the last one came to {delivery.last_outcome}."


def explain_not_made(
    stream: Stream,
    *,
    created_at: int,
    is_about_stream: bool,
    is_routed: bool,
    audience: frozenset[str] | None,
    membership: Membership,
) -> Explanation:
    """Why there is no delivery of an event for a stream.

    Args:
        stream: As it is now.
        created_at: Microseconds UTC of the event.
        is_about_stream: Whether the event is one about a stream, hence about another one.
        is_routed: Whether the stream gets events of this type.
        audience: Whom the producer named; None: nobody.
        membership: What the stream's list says of the subject.
    """
    if stream.created_at > created_at:
        return _not_sent(Why.STREAM_IS_YOUNGER, "The stream was made after the event.")
    if is_about_stream:
        return _not_sent(Why.ABOUT_ANOTHER_STREAM, "The event is about another stream.")
    if not is_routed:
        return _not_sent(
            Why.EVENT_TYPE_NOT_REQUESTED,
            "The event's type is not among the stream's events_delivered.",
        )
    if audience is not None and audience.isdisjoint(stream.audience):
        return _not_sent(
            Why.AUDIENCE_NOT_NAMED, "The producer named an audience, and not one of the stream's."
        )
    if is_wanted(stream.default_subjects, membership):
        return _not_sent(
            Why.CHANGED_SINCE,
            "It would be sent now: the stream or its subjects were changed after the event.",
        )
    if stream.default_subjects is DefaultSubjects.NONE:
        return _not_sent(
            Why.SUBJECT_NOT_ADDED,
            "The stream holds added subjects only, and none of them matches the event's.",
        )
    return _not_sent(Why.SUBJECT_REMOVED, "The receiver removed a subject that covers the event's.")


def _not_sent(why: Why, description: str) -> Explanation:
    return Explanation(verdict="not_sent", why=why, description=description)

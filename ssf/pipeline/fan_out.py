"""Which targets want an event, and why: type, subject, audience, status.

The older question "why was this event not sent to stream X?" is answered here. A target gets the
event when all of these hold:

1. it belongs to the event's project;
2. the event's type is among the event types that it delivers (its routes);
3. its subjects hold the event's (`ssf.rules.subject_membership`);
4. the producer named no audience, or one of the target's;
5. its status takes events: enabled sends them, paused holds them.

A target that wants the event but is disabled, or for which its subject cannot be written in the
format that it insists on, gets a delivery that is dropped from the start, so that what a receiver
missed can be counted and found.
"""

from collections.abc import Sequence

from ssf.pipeline.new_event import NewEvent
from ssf.protocol.subject_conversion import FormatFallback
from ssf.rules.set_shape import can_be_sent
from ssf.rules.targets import MatchedTarget
from ssf.store.database import Connection
from ssf.store.subjects import memberships
from ssf.store.targets import WantingTarget, targets_wanting

STREAM_DISABLED = "stream_disabled"
FORMAT_NOT_AVAILABLE = "format_not_available"


async def matched_targets(
    connection: Connection, event: NewEvent, *, now: int, format_fallback: FormatFallback
) -> Sequence[MatchedTarget]:
    """The targets that want an event, in the order in which they were made."""
    said = await memberships(
        connection,
        project_id=event.project_id,
        event_type=event.event_type,
        subject=event.subject,
        now=now,
    )
    wanting = await targets_wanting(
        connection, project_id=event.project_id, event_type=event.event_type, memberships=said
    )
    return [
        MatchedTarget(
            id=target.id,
            is_pushed=target.is_pushed,
            matched_subject_id=target.matched_subject_id,
            drop_reason=_drop_reason(target, event, format_fallback),
        )
        for target in wanting
        if event.audience is None or target.is_among(event.audience)
    ]


def _drop_reason(
    target: WantingTarget, event: NewEvent, format_fallback: FormatFallback
) -> str | None:
    if not target.status.takes_events:
        return STREAM_DISABLED
    if not can_be_sent(event.subject, target.subject_format, format_fallback):
        return FORMAT_NOT_AVAILABLE
    return None

"""Which targets want an event, and why: type, subject, audience, status.

The older question "why was this event not sent to stream X?" is answered here. A target gets the
event when all of these hold:

1. it belongs to the event's project;
2. the event's type is among the event types that it delivers (its routes);
3. its subjects hold the event's (`ssf.rules.subject_membership`);
4. the producer named no audience, or one of the target's;
5. its status takes events: enabled sends them, paused holds them.

A target that wants the event but is disabled gets a delivery that is dropped from the start, so
that what a receiver missed can be counted and found.
"""

from collections.abc import Sequence

from ssf.pipeline.new_event import NewEvent
from ssf.rules.targets import MatchedTarget
from ssf.store.database import Connection
from ssf.store.subjects import memberships
from ssf.store.targets import WantingTarget, targets_wanting

STREAM_DISABLED = "stream_disabled"


async def matched_targets(
    connection: Connection, event: NewEvent, *, now: int
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
            drop_reason=_drop_reason(target),
        )
        for target in wanting
        if event.audience is None or not event.audience.isdisjoint(target.audience)
    ]


def _drop_reason(target: WantingTarget) -> str | None:
    return None if target.status.takes_events else STREAM_DISABLED

"""Which targets want an event, and why: event type, status of the target, audience.

The older question "why was this event not sent to stream X?" is answered here. A target gets the
event when all of these hold:

1. it belongs to the event's project;
2. the event's type is among the event types that it delivers (its routes);
3. its status takes events: enabled sends them, paused holds them, disabled takes none;
4. the producer named no audience, or one of the target's.

Subjects do not decide yet: every stream behaves as `default_subjects: ALL`.
"""

from collections.abc import Sequence

from ssf.pipeline.new_event import NewEvent
from ssf.rules.targets import MatchedTarget
from ssf.store.database import Connection
from ssf.store.targets import targets_wanting


async def matched_targets(connection: Connection, event: NewEvent) -> Sequence[MatchedTarget]:
    """The targets that want an event, in the order in which they were made."""
    return await targets_wanting(
        connection,
        project_id=event.project_id,
        event_type=event.event_type,
        audience=event.audience,
    )

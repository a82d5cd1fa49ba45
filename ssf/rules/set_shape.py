"""How the SETs of one target look: its subject format, old event URIs, the subject in the event.

What is stored is the event as its producer said it; the shape is applied when the SET is made, so
a change of a receiver's wishes holds for what already waits. Filtering by subject comes before
and sees the original.
"""

from collections.abc import Mapping
from typing import Any

from ssf.protocol.ssf_events import LEGACY_URIS
from ssf.protocol.subject_conversion import FormatFallback, convert
from ssf.protocol.subjects import Subject
from ssf.rules.targets import SetShape

_MAY_HOLD_SUBJECT = (
    "https://schemas.openid.net/secevent/caep/event-type/",
    "https://schemas.openid.net/secevent/risc/event-type/",
)
"""The families that had the subject in the event before 2023. Others define what `subject` means
in their events, or that there is none (SSF 1.0 §3.1)."""


def can_be_sent(subject: Subject, want: str | None, fallback: FormatFallback) -> bool:
    """Whether a target that wants this format gets an event about this subject at all, as far as its format decides.

    False only by `FormatFallback.DROP`, when the wanted format cannot be made. Not to be asked
    of verification and stream-updated events, whose subject is never converted.
    """
    return convert(subject.identifier, want, fallback) is not None


def shaped(
    event_type: str,
    sub_id: Mapping[str, Any],
    payload: Mapping[str, Any],
    shape: SetShape,
    fallback: FormatFallback,
) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """The `sub_id` and the `events` of a SET.

    Args:
        event_type: URI of the event as it was emitted.
        sub_id: Its subject.
        payload: Its members.
        shape: What the target wants.
        fallback: What to do when the wanted format cannot be made. With `DROP` such an event is
            not given to the target; one that waits already, since the wish came later, is sent
            by `MOST_PRIVATE`.

    Returns:
        Fresh objects or the given ones; the given ones are not changed.
    """
    if event_type in LEGACY_URIS:
        name = LEGACY_URIS[event_type] if shape.legacy_event_uris else event_type
        return sub_id, {name: payload}
    converted = convert(sub_id, shape.subject_format, fallback)
    if converted is None:
        converted = convert(sub_id, shape.subject_format, FormatFallback.MOST_PRIVATE) or sub_id
    if shape.subject_in_event and event_type.startswith(_MAY_HOLD_SUBJECT):
        payload = {"subject": converted, **payload}
    return converted, {event_type: payload}

"""Does a stream want an event about this subject? (SSF 1.0 §8.1.3; `default_subjects`, §7.1).

| default | an event is sent when |
|---|---|
| NONE | a subject that the receiver added, and has not removed since, matches the event's |
| ALL | no subject that the receiver removed covers the event's, or one that it added later matches |

*Matches* is the rule of the specification: of two complex subjects no member present in both may
differ, so an absent member is a wildcard on either side. *Covers* is stricter: everything that the
receiver named in its removal is true of the event. Were a removal judged by *matches*, removing
`{device D}` would silence events about `{user U}`, whom nobody removed.
"""

from dataclasses import dataclass
from enum import StrEnum


class DefaultSubjects(StrEnum):
    """Whether a new stream holds all subjects or none (SSF 1.0 §7.1)."""

    ALL = "ALL"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a stream's list of subjects says of one event.

    Attributes:
        added: Number of the latest subject that was added and matches; None for none.
        removed: Number of the latest subject that was removed and covers; None for none.
            Numbers grow with each change, so the larger one was said later.
    """

    added: int | None = None
    removed: int | None = None


NOT_LISTED = Membership()
"""The stream's list says nothing of the event."""


def is_wanted(default: DefaultSubjects, membership: Membership) -> bool:
    """Whether the event is sent, as far as its subject decides."""
    if default is DefaultSubjects.NONE:
        return membership.added is not None
    if membership.removed is None:
        return True
    return membership.added is not None and membership.added > membership.removed

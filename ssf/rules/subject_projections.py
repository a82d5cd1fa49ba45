"""How a list of complex subjects is searched without being read.

A complex subject *A* matches an event's subject *E* when they agree on every member that both
have. Which members those are depends on both, so no single index answers it. But it depends on *A*
only through its **shape**, the names of its members, and a stream has few shapes however many
subjects it holds. So each subject is stored under one key for each subset of its members (its
**projections**): the key says the shape, the subset, and the values in it. For an event there is
then exactly one key to look up per shape: that of the members which the shape shares with the
event, with the event's values. Whoever stands under that key matches; nobody else of that shape
does.

A subject of *n* members has 2**n projections, therefore `MAX_LISTED_MEMBERS`. Simple subjects have
the shape `SIMPLE` and no projections: they are looked up by their own key.

Source: SSF 1.0 §8.1.3.1 (what matches); the index is ours.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ssf.protocol.subjects import Subject

MAX_LISTED_MEMBERS: Final = 8
"""Most members of a complex subject in a stream's list: 256 projections."""

SIMPLE: Final = ""
"""The shape of every subject that is not complex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionLookup:
    """What to look up for an event among the subjects of one shape.

    Attributes:
        key: The projection key.
        is_whole: Whether the event has every member of the shape, so that a subject under the
            key not only matches the event but covers it.
    """

    key: bytes
    is_whole: bool


def shape_of(subject: Subject) -> str:
    """The names of a complex subject's members as JSON, sorted; `SIMPLE` for all others."""
    return _shape(subject.members) if subject.members else SIMPLE


def all_projections(subject: Subject) -> list[bytes]:
    """The key of each subset of a complex subject's members, the empty one and the whole included.

    Empty for a simple subject.
    """
    shape, values = shape_of(subject), _hashed(subject)
    names = sorted(subject.members)
    return [
        _key(shape, subset, values)
        for size in range(len(names) + 1 if names else 0)
        for subset in combinations(names, size)
    ]


def whole_projection(subject: Subject) -> list[bytes]:
    """The key of all members together, by which a removal is found; empty for a simple subject."""
    if not subject.members:
        return []
    return [_key(shape_of(subject), sorted(subject.members), _hashed(subject))]


def lookups(event: Subject, shapes: Iterable[str]) -> dict[str, ProjectionLookup]:
    """What to look up for a complex subject of an event, for each of these shapes."""
    found = {}
    values = _hashed(event)
    for shape in shapes:
        names: list[str] = json.loads(shape)
        shared = [name for name in names if name in event.members]
        found[shape] = ProjectionLookup(
            key=_key(shape, shared, values), is_whole=len(shared) == len(names)
        )
    return found


def _shape(names: Iterable[str]) -> str:
    return json.dumps(sorted(names), separators=(",", ":"))


def _hashed(subject: Subject) -> dict[str, str]:
    """The values once for all keys: a member may have 100 000 bytes, and stand in 128 of them."""
    return {name: key.hex() for name, key in subject.member_keys.items()}


def _key(shape: str, names: Iterable[str], values: Mapping[str, str]) -> bytes:
    named = [[name, values[name]] for name in names]
    return hashlib.sha256(json.dumps([shape, named]).encode("ascii")).digest()

"""Subjects: whom an event is about, and when two descriptions mean the same.

`parse_subject` accepts a Subject Identifier of RFC 9493, of SSF 1.0 §3 (`complex` included) or of
a private format, and older spellings of them. The result carries the identifier to send on and
the canonical text to compare by. `subjects_match` is the matching rule of SSF 1.0 §8.1.3.1.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ssf.protocol.errors import MalformedSubject
from ssf.protocol.json_values import copy_json, quote, require_object, require_plain_json
from ssf.protocol.subject_formats import (
    ALIASES,
    COMPLEX,
    MAX_IDENTIFIERS,
    MAX_PROPRIETARY_DEPTH,
    SIMPLE_FORMATS,
    bounded_array,
    canonical_json,
    require_format_name,
)

__all__ = ["Subject", "covers", "opaque_subject", "parse_subject", "subjects_match"]

_MAX_MEMBER_NAME_CHARS = 256


_DEFINED_MEMBERS: Final = frozenset(
    {"user", "device", "session", "application", "tenant", "org_unit", "group"}
)
"""Members of a complex subject that SSF 1.0 §3.2 defines; others are by agreement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject identifier, checked.

    Two subjects are the same subject when their `canonical` texts are equal. A row read back
    from storage is made into a Subject again by the constructor, without parsing.

    Attributes:
        identifier: What to send: as given, with old spellings of the format rewritten and, when
            parsed leniently, unknown members left out. Not to be changed.
        format: The format name, `complex` included.
        canonical: The comparison form as canonical JSON, ASCII only.
        key: SHA-256 of `canonical`, 32 bytes: a short stand-in for indexes.
        members: Of a complex subject, member name to the canonical JSON of that member; empty
            for every other format.
    """

    identifier: Mapping[str, Any] = field(hash=False)
    format: str
    canonical: str
    key: bytes = field(init=False, repr=False, compare=False)
    members: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        members: dict[str, str] = {}
        if self.format == COMPLEX:
            members = {
                name: canonical_json(member)
                for name, member in json.loads(self.canonical).items()
                if name != "format"
            }
        object.__setattr__(self, "key", _digest(self.canonical))
        object.__setattr__(self, "members", MappingProxyType(members))

    @property
    def member_keys(self) -> dict[str, bytes]:
        """SHA-256 of each member's canonical JSON (32 bytes), for an index of complex subjects."""
        return {name: _digest(canonical) for name, canonical in self.members.items()}


def _digest(canonical: str) -> bytes:
    return hashlib.sha256(canonical.encode("ascii")).digest()


def parse_subject(value: object, *, field: str = "subject", strict: bool = True) -> Subject:
    """Check a subject identifier and bring it into today's spelling.

    Args:
        value: Decoded JSON.
        field: Path of the value, for errors.
        strict: True refuses members that the format does not describe (RFC 9493 §3): for
            management requests and for what we emit. False leaves them out, as SSF 1.0 §4 tells
            receivers. Types, emptiness and syntax are checked either way.

    Raises:
        MalformedSubject: With the path of the member that is wrong.
    """
    named = _with_format(require_object(value, field, MalformedSubject), field, strict=strict)
    if named["format"] == COMPLEX:
        parsed = _parse_complex(named, field, strict=strict)
    elif named["format"] == ALIASES:
        parsed = _parse_aliases(named, field, strict=strict)
    else:
        parsed = _parse_simple(named, field, strict=strict)
    return Subject(
        identifier=parsed.identifier,
        format=named["format"],
        canonical=canonical_json(parsed.compared),
    )


def opaque_subject(stream_id: str) -> Subject:
    """Return the subject of a stream itself, used by verification and stream-updated.

    Source: SSF 1.0 §8.1.4.1, §8.1.5.
    """
    return parse_subject({"format": "opaque", "id": stream_id}, field="stream_id")


def subjects_match(added: Subject, event: Subject) -> bool:
    """Say whether an event's subject is one that a receiver added.

    Complex against complex: no member present in both may differ; a member absent on either side
    is a wildcard. So by the letter `{device D}` matches `{user U}`. A simple and a complex
    subject never match. Simple subjects match when they are the same.

    Source: SSF 1.0 §8.1.3.1.
    """
    if added.format == COMPLEX and event.format == COMPLEX:
        return all(
            event.members.get(name, member) == member for name, member in added.members.items()
        )
    return added.canonical == event.canonical


def covers(removed: Subject, event: Subject) -> bool:
    """Say whether everything that a receiver named in a removal is true of an event's subject.

    Every member of a removed complex subject must be in the event's and be the same; simple
    subjects must be the same. Our decision: by `subjects_match`, removing `{device D}` would
    silence events about `{user U}`, whom nobody removed.
    """
    if removed.format == COMPLEX and event.format == COMPLEX:
        return all(event.members.get(name) == member for name, member in removed.members.items())
    return removed.canonical == event.canonical


class _Parsed(NamedTuple):
    """An identifier to send on, and the object by which it is compared."""

    identifier: dict[str, Any]
    compared: dict[str, Any]


def _with_format(value: Mapping[str, Any], field: str, *, strict: bool) -> dict[str, Any]:
    """Give the identifier a `format` in today's spelling, as its first member."""
    rest = {name: member for name, member in value.items() if name != "format"}
    old = rest.pop("subject_type", None)  # Google's RISC and drafts of 2018
    if "format" in value:
        name = require_format_name(value["format"], f"{field}.format")
        if strict and old is not None and require_format_name(old, f"{field}.subject_type") != name:
            raise MalformedSubject("contradicts format", field=f"{field}.subject_type")
    elif old is not None:
        name = require_format_name(old, f"{field}.subject_type")
    elif rest and _looks_complex(rest, strict=strict):
        name = COMPLEX  # drafts before June 2023 had no format here
    else:
        raise MalformedSubject(
            "is missing: it names the kind of identifier", field=f"{field}.format"
        )
    return {"format": name, **rest}


def _looks_complex(members: Mapping[str, Any], *, strict: bool) -> bool:
    objects = [isinstance(member, Mapping) for member in members.values()]
    return all(objects) if strict else any(objects)


def _parse_simple(value: dict[str, Any], field: str, *, strict: bool) -> _Parsed:
    row = SIMPLE_FORMATS.get(value["format"])
    if row is None:
        return _parse_proprietary(value, field)
    for name in row.required:
        if value.get(name) is None:
            raise MalformedSubject(f"is required by format {row.name}", field=f"{field}.{name}")
    undescribed = [name for name in value if name != "format" and not row.describes(name)]
    if strict and undescribed:
        raise MalformedSubject(
            f"is not part of format {row.name}", field=f"{field}.{undescribed[0]}"
        )
    kept = {name: member for name, member in value.items() if name not in undescribed}
    compared = {"format": row.name, **row.comparable(kept, field)}
    return _Parsed(copy_json(kept), compared)


def _parse_proprietary(value: dict[str, Any], field: str) -> _Parsed:
    """A format agreed between the parties (SSF 1.0 §3.3): equal when the JSON is equal."""
    require_plain_json(value, field, MalformedSubject, max_depth=MAX_PROPRIETARY_DEPTH)
    if len(value) > MAX_IDENTIFIERS:
        raise MalformedSubject(f"must have at most {MAX_IDENTIFIERS} members", field=field)
    copied = copy_json(value)
    return _Parsed(copied, copied)


def _parse_aliases(value: dict[str, Any], field: str, *, strict: bool) -> _Parsed:
    """Several names of one subject: compared as a set, so order and repetition do not count."""
    for name in value:
        if strict and name not in ("format", "identifiers"):
            raise MalformedSubject("is not part of format aliases", field=f"{field}.{name}")
    field = f"{field}.identifiers"
    entries = [
        _parse_nested(entry, f"{field}[{index}]", strict=strict, aliases_allowed=False)
        for index, entry in enumerate(bounded_array(value.get("identifiers"), field))
    ]
    compared = {canonical_json(entry.compared): entry.compared for entry in entries}
    return _Parsed(
        {"format": ALIASES, "identifiers": [entry.identifier for entry in entries]},
        {"format": ALIASES, "identifiers": [compared[text] for text in sorted(compared)]},
    )


def _parse_complex(value: dict[str, Any], field: str, *, strict: bool) -> _Parsed:
    """Members that together describe one subject, each a simple identifier (SSF 1.0 §3.2)."""
    members = {name: member for name, member in value.items() if name != "format"}
    if not strict:
        # Unknown members are ignored, but never one that SSF defines: an event about a session
        # of a user would turn into one about all of the user's sessions.
        members = {
            name: one
            for name, one in members.items()
            if isinstance(one, Mapping) or name in _DEFINED_MEMBERS
        }
    if not 1 <= len(members) <= MAX_IDENTIFIERS:
        raise MalformedSubject(
            f"must have 1 to {MAX_IDENTIFIERS} members beside format, not {len(members)}",
            field=field,
        )
    identifier: dict[str, Any] = {"format": COMPLEX}
    compared: dict[str, Any] = {"format": COMPLEX}
    for name, member in members.items():
        _require_member_name(name, field)
        parsed = _parse_nested(member, f"{field}.{name}", strict=strict, aliases_allowed=True)
        identifier[name], compared[name] = parsed
    return _Parsed(identifier, compared)


def _require_member_name(name: str, field: str) -> None:
    if not 1 <= len(name) <= _MAX_MEMBER_NAME_CHARS or not name.isprintable():
        raise MalformedSubject(
            f"has a member name {quote(name)} that is empty, unprintable or longer than "
            f"{_MAX_MEMBER_NAME_CHARS} characters",
            field=field,
        )


def _parse_nested(value: object, field: str, *, strict: bool, aliases_allowed: bool) -> _Parsed:
    """Parse an identifier inside `complex` or `aliases`, where `complex` is never allowed."""
    named = _with_format(require_object(value, field, MalformedSubject), field, strict=strict)
    if named["format"] == COMPLEX:
        raise MalformedSubject("must be a simple identifier, not complex", field=field)
    if named["format"] == ALIASES:
        if not aliases_allowed:
            raise MalformedSubject("must not be aliases inside aliases", field=field)
        return _parse_aliases(named, field, strict=strict)
    return _parse_simple(named, field, strict=strict)

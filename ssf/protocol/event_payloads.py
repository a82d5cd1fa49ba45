"""How an event payload is read and written, said once for every family of events.

An event is a frozen dataclass that declares its members in a table; `EventPayload` does the rest.
A new family is one file of such classes and one line in `event_types`.

Two ways to read. *Strict* is for what we emit: every rule of the definition holds, and what
nobody could store or sign is refused. *Lenient* is for what we receive: the JSON types of the
definition and its closed lists ("MUST be one of") hold, a null counts as absent, and habits of
older peers are understood. Members that the definition does not name are kept in `extra` and
written back, in both ways (SSF 1.0 §4: receivers ignore what they do not understand).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from ssf.protocol.errors import MalformedEvent, MalformedSubject
from ssf.protocol.json_values import (
    copy_json,
    is_number,
    quote,
    require_object,
    require_plain_json,
    type_name,
)
from ssf.protocol.subjects import Subject

LATEST_TIMESTAMP_SECONDS: Final = 10**11
"""Seconds since 1970 above which a timestamp is surely milliseconds: the year 5138."""

# BCP 47 loosely: subtags of 1 to 8 letters and digits, the first of letters.
_LANGUAGE_TAG = re.compile("[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")

_CAMEL_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")

_Value = TypeVar("_Value")
_Read = Callable[[object, str, bool], _Value]


@dataclass(frozen=True, slots=True)
class Reader(Generic[_Value]):
    """Checks and converts the JSON value of a member.

    Attributes:
        kind: What it takes, for people, such as `string` or `LOW|MEDIUM|HIGH`.
        read: (value, field, strict) -> the attribute's value. Raises MalformedEvent.
    """

    kind: str
    read: _Read[_Value]

    def __call__(self, value: object, field: str, strict: bool) -> _Value:
        """Read the value; `field` is its path, for errors."""
        return self.read(value, field, strict)


def reads(kind: str) -> Callable[[_Read[_Value]], Reader[_Value]]:
    """Make a function a `Reader` of this kind."""
    return lambda read: Reader(kind, read)


Rule = Callable[[Mapping[str, Any], str, bool], None]
"""(members as on the wire, path of the payload, strict). Raises MalformedEvent."""

SubjectRule = Callable[[Subject, str], None]
"""(subject, its path), for what we emit. Raises MalformedSubject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A kind of event.

    Attributes:
        uri: The key in `events`, compared case-sensitively.
        name: Short name for people and commands, such as `session-revoked`; unique.
        family: The specification it is from: `ssf`, `caep`, `risc`, `scim`, `oauth`.
        deprecated: Whether its specification tells new code to use another one.
    """

    uri: str
    name: str
    family: str
    deprecated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member that an event definition names.

    Attributes:
        name: As on the wire.
        read: Checks and converts the JSON value.
        required: Whether a payload without it is malformed, strict or not.
        attribute: Name of the dataclass attribute that holds it: `new_value` for `new-value`,
            `bulk_id` for `bulkId`.
    """

    name: str
    read: Reader[Any]
    required: bool = False
    attribute: str = field(init=False)

    def __post_init__(self) -> None:
        words = _CAMEL_HUMP.sub("_", self.name).replace("-", "_")
        object.__setattr__(self, "attribute", words.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPayload:
    """The base of all events. An absent member is None and is not written.

    Attributes:
        event_type: Which event this is.
        table: The members that the definition names.
        rules: What holds between members, checked after each has been read.
        subject_formats: Formats of the subject with which it may be emitted; empty for any.
        subject_rule: What else must be true of the subject, or None.
        example: A minimal payload that is valid strictly. Not to be changed.
        example_subject: A subject with which it may be emitted. Not to be changed.
        extra: Members that the definition does not name, as they were.
    """

    event_type: ClassVar[EventType]
    table: ClassVar[tuple[Member, ...]] = ()
    rules: ClassVar[tuple[Rule, ...]] = ()
    subject_formats: ClassVar[tuple[str, ...]] = ()
    subject_rule: ClassVar[SubjectRule | None] = None
    example: ClassVar[Mapping[str, Any]] = {}
    example_subject: ClassVar[Mapping[str, Any]] = {"format": "email", "email": "user@example.com"}

    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_payload(cls, payload: object, *, field: str = "events", strict: bool = True) -> Self:
        """Read the value under the event type's URI.

        Args:
            payload: Decoded JSON.
            field: Path of the payload, for errors.
            strict: See the module.

        Raises:
            MalformedEvent: With the path of the member that is wrong.
        """
        members = require_object(payload, field, MalformedEvent)
        if strict:
            require_plain_json(members, field, MalformedEvent)
        known: dict[str, Any] = {}
        for member in cls.table:
            at = f"{field}.{member.name}"
            value = members.get(member.name)
            if member.name in members and (strict or value is not None):
                known[member.attribute] = member.read(value, at, strict)
            elif member.required:
                raise MalformedEvent(f"is required by {cls.event_type.name}", field=at)
        for rule in cls.rules:
            rule(members, field, strict)
        named = {member.name for member in cls.table}
        extra = {name: value for name, value in members.items() if name not in named}
        return cls(**known, extra=copy_json(extra) if strict else extra)

    @classmethod
    def require_subject(cls, subject: Subject, *, field: str = "subject") -> None:
        """Check that the event may be emitted about a subject.

        Args:
            field: Path of the subject, for errors.

        Raises:
            MalformedSubject: With the path of the member that is wrong.
        """
        if cls.subject_formats and subject.format not in cls.subject_formats:
            raise MalformedSubject(
                f"must be {' or '.join(cls.subject_formats)} for {cls.event_type.name}, "
                f"not {quote(subject.format)}",
                field=f"{field}.format",
            )
        if cls.subject_rule is not None:
            cls.subject_rule(subject, field)

    def to_payload(self) -> dict[str, Any]:
        """Return a fresh JSON object that `from_payload` reads back as an equal event."""
        payload: dict[str, Any] = {}
        for member in self.table:
            value = getattr(self, member.attribute)
            if value is not None:
                payload[member.name] = _plain(value)
        for name, value in self.extra.items():
            payload.setdefault(name, _plain(value))
        return payload


def _plain(value: Any) -> Any:
    """Undo the frozen forms that readers make; deeper levels are shared, not copied."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value


@reads("string")
def text(value: object, field: str, strict: bool) -> str:
    """Read a string. Strictly it must not be empty."""
    if not isinstance(value, str):
        raise MalformedEvent(f"must be a string, not {type_name(value)}", field=field)
    if strict and not value:
        raise MalformedEvent("must not be empty", field=field)
    return value


@reads("string")
def any_text(value: object, field: str, strict: bool) -> str:
    """Read a string that may be empty, such as an echoed `state`."""
    return text(value, field, False)


def one_of(*accepted: str, closed_on_receipt: bool = True) -> Reader[str]:
    """Read a string from a closed list.

    Args:
        *accepted: The list.
        closed_on_receipt: Whether the specification says MUST, so that a recipient may refuse
            another value too. False only closes the list for what we emit.
    """

    @reads("|".join(accepted))
    def read(value: object, field: str, strict: bool) -> str:
        word = text(value, field, strict)
        if word not in accepted and (strict or closed_on_receipt):
            raise MalformedEvent(
                f"must be one of {', '.join(accepted)}, not {quote(word)}", field=field
            )
        return word

    return read


@reads("number of seconds")
def timestamp(value: object, field: str, strict: bool) -> int | float:
    """Read seconds since 1970-01-01T00:00:00Z, fractions allowed (CAEP 1.0 §2).

    Strictly it lies in 0 to 10^11: the commonest mistake is to send milliseconds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedEvent(f"must be a number, not {type_name(value)}", field=field)
    if not is_number(value):
        raise MalformedEvent("must be a finite number within 64 bits", field=field)
    if strict and value > LATEST_TIMESTAMP_SECONDS:
        raise MalformedEvent(
            "is in seconds since 1970 UTC; this value looks like milliseconds", field=field
        )
    if strict and value < 0:
        raise MalformedEvent("is in seconds since 1970 UTC and must not be negative", field=field)
    return value


@reads("object of texts by language tag")
def language_map(value: object, field: str, strict: bool) -> dict[str, str]:
    """Read texts by BCP 47 language tag, at least one (CAEP 1.0 §2).

    Leniently, a plain string of an old peer becomes `{"und": text}`, "undetermined" in BCP 47.
    """
    if not strict and isinstance(value, str):
        return {"und": value}
    texts = require_object(value, field, MalformedEvent)
    if not texts:
        raise MalformedEvent("must have at least one language tag", field=field)
    if strict:
        for tag in texts:
            if not _LANGUAGE_TAG.fullmatch(tag):
                raise MalformedEvent(f"{quote(tag)} is no BCP 47 language tag", field=field)
    return {tag: text(texts[tag], f"{field}.{tag}", strict) for tag in texts}


@reads("object")
def json_object(value: object, field: str, strict: bool) -> dict[str, Any]:
    """Read an object of any members, at least one."""
    members = any_object(value, field, strict)
    if not members:
        raise MalformedEvent("must have at least one member", field=field)
    return members


@reads("object")
def any_object(value: object, field: str, strict: bool) -> dict[str, Any]:
    """Read an object of any members, also of none."""
    members = require_object(value, field, MalformedEvent)
    return copy_json(members) if strict else dict(members)


@reads("array of strings")
def text_array(value: object, field: str, strict: bool) -> tuple[str, ...]:
    """Read an array of strings.

    Leniently, one bare string counts as an array of it: an example of CAEP 1.0 shows `amr` so.
    """
    if not strict and isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise MalformedEvent(f"must be an array of strings, not {type_name(value)}", field=field)
    return tuple(text(item, f"{field}[{index}]", strict) for index, item in enumerate(value))

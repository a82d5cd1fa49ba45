"""Everything that can be wrong with words on the wire.

    ProtocolError
    |-- MalformedSubject                invalid_subject     a subject identifier breaks its format
    |   `-- UnknownSubjectFormat        invalid_subject     a format name that we do not know
    |-- MalformedEvent                  invalid_event       an event payload breaks its definition
    |   `-- UnknownEventType            unknown_event_type  a URI or short name not in the registry
    |-- MalformedSet                    invalid_request     claims that are no SET of the SSF profile
    |   |-- WrongIssuer                 invalid_issuer      `iss` is not the one expected
    |   `-- WrongAudience               invalid_audience    `aud` does not name this recipient
    |-- MalformedStreamConfiguration    invalid_request     a property of a stream has a bad value
    `-- MalformedMetadata               invalid_metadata    an issuer or a metadata document

Parse functions of this package raise nothing else, whatever JSON they are given.
"""

from typing import ClassVar

_MAX_FIELD_CHARS = 300
_MAX_REASON_CHARS = 500


def printable(text: str, max_chars: int) -> str:
    """Make text from a peer safe for logs, terminals and headers.

    Args:
        text: Anything, also with control characters or lone surrogates.
        max_chars: Length above which the text is cut and ends in `...`; >= 4.

    Returns:
        At most `max_chars` characters, every unprintable one replaced by `?`.
    """
    if len(text) > max_chars:
        text = text[: max_chars - 3] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


class ProtocolError(ValueError):
    """A value from outside that does not say what the protocol wants said.

    Attributes:
        code: Stable word for programs.
        field: Path of the offending member, such as `subject.email`; printable, <= 300 chars.
        reason: Sentence for people: what is wrong and what is accepted. Printable, <= 500 chars,
            and never a credential or the value of a subject identifier.
    """

    code: ClassVar[str] = "invalid_request"

    def __init__(self, reason: str, *, field: str) -> None:
        self.field = printable(field, _MAX_FIELD_CHARS)
        self.reason = printable(reason, _MAX_REASON_CHARS)
        super().__init__(f"{self.field}: {self.reason}")


class MalformedSubject(ProtocolError):
    """A subject identifier breaks its format (RFC 9493 §3, SSF 1.0 §3)."""

    code = "invalid_subject"


class UnknownSubjectFormat(MalformedSubject):
    """A subject identifier format that we do not know, where a known one is needed."""


class MalformedEvent(ProtocolError):
    """An event payload breaks the definition of its event type."""

    code = "invalid_event"


class UnknownEventType(MalformedEvent):
    """An event type that is not in the registry."""

    code = "unknown_event_type"


class MalformedSet(ProtocolError):
    """Claims that are no Security Event Token of the SSF profile (RFC 8417, SSF 1.0 §4).

    Attributes:
        err: What a recipient answers, a code of RFC 8935 §2.4.
    """

    err: ClassVar[str] = "invalid_request"


class WrongIssuer(MalformedSet):
    """The `iss` claim is not the issuer that was expected."""

    code = "invalid_issuer"
    err = "invalid_issuer"


class WrongAudience(MalformedSet):
    """The `aud` claim does not name this recipient."""

    code = "invalid_audience"
    err = "invalid_audience"


class MalformedStreamConfiguration(ProtocolError):
    """A property of a stream configuration has a value that it must not have."""


class MalformedMetadata(ProtocolError):
    """An issuer identifier or a transmitter metadata document that must not be used."""

    code = "invalid_metadata"

"""OAuth event types of an OpenID draft of 2018, which expired and never became final.

A transmitter offers them only when told to. The draft has the subject inside of the event; we
emit it in `sub_id`, as every event today, and never with a token in plain text. Attributes that
are None were absent.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ssf.protocol.errors import MalformedEvent, MalformedSubject, ProtocolError
from ssf.protocol.event_payloads import (
    EventPayload,
    EventType,
    Member,
    Rule,
    SubjectRule,
    any_object,
    one_of,
    reads,
)
from ssf.protocol.json_values import type_name
from ssf.protocol.subjects import Subject, parse_subject

_BASE: Final = "https://schemas.openid.net/secevent/oauth/event-type/"

TOKEN_ISSUED: Final = f"{_BASE}token-issued"
TOKEN_REVOKED: Final = f"{_BASE}token-revoked"
TOKENS_REVOKED: Final = f"{_BASE}tokens-revoked"
CLIENT_DISABLED: Final = f"{_BASE}client-disabled"
CLIENT_ENABLED: Final = f"{_BASE}client-enabled"
CLIENT_CREDENTIAL_CHANGED: Final = f"{_BASE}client-credential-changed"

_FORMAT: Final = "oauth_token"
_TOKEN_TYPES: Final = ("access_token", "authorization_code", "refresh_token")
_ALGORITHM: Final = re.compile("prefix|hash_[A-Za-z0-9_-]{1,64}")


@reads("subject identifier")
def _subject_identifier(value: object, field: str, strict: bool) -> dict[str, Any]:
    """Read a subject identifier; strictly by its format, and with no token in plain text."""
    members = any_object(value, field, strict)
    if not strict:
        return members
    try:
        subject = parse_subject(members, field=field)
        _no_plain_tokens(subject, field)
    except ProtocolError as error:
        raise MalformedEvent(error.reason, field=error.field) from None
    return dict(subject.identifier)


def _no_plain_tokens(subject: Subject, field: str) -> None:
    for token, at in _tokens(subject.identifier, field):
        if token.get("token_type") not in _TOKEN_TYPES:
            raise MalformedSubject(
                f"must be one of {', '.join(_TOKEN_TYPES)}", field=f"{at}.token_type"
            )
        algorithm = token.get("token_identifier_alg")
        if not isinstance(algorithm, str) or not _ALGORITHM.fullmatch(algorithm):
            raise MalformedSubject(
                "must be prefix or begin with hash_: a token is never sent in plain text",
                field=f"{at}.token_identifier_alg",
            )
        if not isinstance(token.get("token"), str) or not token["token"]:
            raise MalformedSubject(
                f"must be a string that is not empty, not {type_name(token.get('token'))}",
                field=f"{at}.token",
            )


def _tokens(value: Any, at: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Every token identifier in a subject, that of complex ones and of aliases too."""
    if isinstance(value, Mapping):
        if _FORMAT in (value.get("format"), value.get("subject_type")):
            yield value, at
        for name, inner in value.items():
            yield from _tokens(inner, f"{at}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _tokens(inner, f"{at}[{index}]")


def _subject_outside(members: Mapping[str, Any], field: str, strict: bool) -> None:
    if strict and "subject" in members:
        raise MalformedEvent(
            "does not belong into the event: the subject goes beside it", field=f"{field}.subject"
        )


def _type(uri: str) -> EventType:
    return EventType(uri=uri, name=uri.removeprefix(_BASE), family="oauth")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthEvent(EventPayload):
    """An event about a token, an account or a client."""

    rules: ClassVar[tuple[Rule, ...]] = (_subject_outside,)
    subject_rule: ClassVar[SubjectRule | None] = _no_plain_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent(OAuthEvent):
    """An event about one token, which is the subject.

    Attributes:
        token_subject: The account that the token is for, a subject identifier.
    """

    table: ClassVar[tuple[Member, ...]] = (Member(name="token_subject", read=_subject_identifier),)
    subject_formats: ClassVar[tuple[str, ...]] = (_FORMAT,)
    example_subject: ClassVar[Mapping[str, Any]] = {
        "format": _FORMAT,
        "token_type": "refresh_token",
        "token_identifier_alg": "prefix",
        "token": "7265667265736820",
    }

    token_subject: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued(TokenEvent):
    """The token was issued."""

    event_type: ClassVar[EventType] = _type(TOKEN_ISSUED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(TokenEvent):
    """The token was revoked.

    Attributes:
        reason: `inactive`, `too_many`, `api`, `user` or `issuer`; another word from a peer is
            kept as it is.
    """

    event_type: ClassVar[EventType] = _type(TOKEN_REVOKED)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="token_subject", read=_subject_identifier),
        Member(
            name="reason",
            read=one_of("inactive", "too_many", "api", "user", "issuer", closed_on_receipt=False),
        ),
    )

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensRevoked(OAuthEvent):
    """All tokens of the account were revoked.

    Attributes:
        reason: `user` or `issuer`; another word from a peer is kept as it is.
    """

    event_type: ClassVar[EventType] = _type(TOKENS_REVOKED)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="reason", read=one_of("user", "issuer", closed_on_receipt=False)),
    )

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDisabled(OAuthEvent):
    """The client was disabled."""

    event_type: ClassVar[EventType] = _type(CLIENT_DISABLED)
    example_subject: ClassVar[Mapping[str, Any]] = {"format": "oauth_client", "client_id": "c-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEnabled(OAuthEvent):
    """The client was enabled."""

    event_type: ClassVar[EventType] = _type(CLIENT_ENABLED)
    example_subject: ClassVar[Mapping[str, Any]] = {"format": "oauth_client", "client_id": "c-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialChanged(OAuthEvent):
    """A credential of the client was changed."""

    event_type: ClassVar[EventType] = _type(CLIENT_CREDENTIAL_CHANGED)
    example_subject: ClassVar[Mapping[str, Any]] = {"format": "oauth_client", "client_id": "c-1"}


EVENTS: Final[tuple[type[EventPayload], ...]] = (
    TokenIssued,
    TokenRevoked,
    TokensRevoked,
    ClientDisabled,
    ClientEnabled,
    ClientCredentialChanged,
)

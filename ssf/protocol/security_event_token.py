"""The Security Event Token: its claims, without signature or header.

Sources: RFC 8417 §2.2, and the profile of SSF 1.0 §4: `sub_id` is required, `sub` and `exp` must
not be there. The checks that need to know the recipient, the stream or the time are functions
beside the class; signatures are not the business of this package.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from ssf.protocol.errors import MalformedSet, MalformedSubject, WrongAudience, WrongIssuer
from ssf.protocol.identifier_syntax import is_absolute_uri
from ssf.protocol.json_values import is_number, quote, require_object, require_text, type_name
from ssf.protocol.subjects import parse_subject

SET_TYP: Final = "secevent+jwt"
"""Value of the `typ` header parameter (RFC 8417 §2.3)."""

MAX_JTI_CHARS: Final = 1024
MAX_URI_CHARS: Final = 2048
MAX_AUDIENCES: Final = 100
MAX_EVENTS: Final = 100
"""Bounds on received tokens (our decision: they become keys in a database)."""

_MUST_NOT: Final = ("sub", "exp")
_KNOWN: Final = frozenset({"iss", "aud", "iat", "jti", "sub_id", "events", "txn", "toe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEventToken:
    """The claims of a SET.

    Attributes:
        iss: Issuer, compared byte by byte.
        aud: Audiences in order; empty when the claim is absent, which no SSF receiver accepts.
        iat: When it was issued, seconds since 1970 UTC.
        jti: Unique within the feed; a repeat carries the same one. 1 to 1024 characters.
        sub_id: The subject identifier, as `ssf.protocol.subjects` keeps it.
        events: Event type URI to payload. One entry, or several URIs of the very same event.
        txn: The transaction that caused the event; None when absent.
        toe: When the event happened, seconds since 1970 UTC; None when absent.
        extra: Claims beyond these, as they were received. Empty in what we emit.
    """

    iss: str
    aud: tuple[str, ...]
    iat: int
    jti: str
    sub_id: Mapping[str, Any]
    events: Mapping[str, Mapping[str, Any]]
    txn: str | None = None
    toe: int | float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_claims(self) -> dict[str, Any]:
        """Return a fresh claims set.

        The signer may change its top level and the `sub_id` and `events` objects; what lies
        deeper in event payloads is shared. One audience is written as a string, several as an
        array. `sub` and `exp` are never written.
        """
        claims: dict[str, Any] = {
            "iss": self.iss,
            "iat": self.iat,
            "jti": self.jti,
            "sub_id": dict(self.sub_id),
            "events": {uri: dict(payload) for uri, payload in self.events.items()},
        }
        if self.aud:
            claims["aud"] = self.aud[0] if len(self.aud) == 1 else list(self.aud)
        if self.txn is not None:
            claims["txn"] = self.txn
        if self.toe is not None:
            claims["toe"] = self.toe
        reserved = _KNOWN.union(_MUST_NOT)
        return claims | {name: self.extra[name] for name in self.extra if name not in reserved}

    @classmethod
    def from_claims(cls, claims: object, *, allow_event_subject: bool = False) -> Self:
        """Read the claims of a received token.

        Unknown claims and unknown event types pass. Events are not read: `parse_event` does.

        Args:
            claims: The decoded claims set.
            allow_event_subject: Whether, without `sub_id`, a `subject` inside an event counts:
                for transmitters older than SSF 1.0. With both, `sub_id` is used.

        Raises:
            MalformedSet: Not a SET of the profile; `err` is `invalid_request`.
        """
        claims = require_object(claims, "claims", MalformedSet)
        for name in _MUST_NOT:
            if name in claims:
                raise MalformedSet("must not be in a SET (SSF 1.0 §4)", field=name)
        events = _events(claims.get("events"))
        return cls(
            iss=require_text(claims.get("iss"), "iss", MalformedSet, max_chars=MAX_URI_CHARS),
            aud=_audiences(claims.get("aud")),
            iat=math.floor(_numeric_date(claims.get("iat"), "iat")),
            jti=require_text(claims.get("jti"), "jti", MalformedSet, max_chars=MAX_JTI_CHARS),
            sub_id=_sub_id(claims, events, allow_event_subject=allow_event_subject),
            events=events,
            txn=_txn(claims.get("txn")),
            toe=None if claims.get("toe") is None else _numeric_date(claims["toe"], "toe"),
            extra={name: value for name, value in claims.items() if name not in _KNOWN},
        )


def check_issuer(iss: str, expected_issuer: str) -> None:
    """Compare the issuer with that of the stream and its metadata, byte by byte.

    Raises:
        WrongIssuer: They differ, be it by a trailing slash (SSF 1.0 §4.1, §7.2.3).
    """
    if iss != expected_issuer:
        raise WrongIssuer(f"{quote(iss)} is not the issuer of this stream", field="iss")


def check_audience(aud: Collection[str], accepted: str | Collection[str]) -> None:
    """Require that the recipient is among the audiences (RFC 8935 §2, RFC 7519 §4.1.3).

    Args:
        aud: The token's audiences.
        accepted: The names by which the recipient goes; a string is one name.

    Raises:
        WrongAudience: None of the audiences is accepted, or there is none.
    """
    names = {accepted} if isinstance(accepted, str) else set(accepted)
    if names.isdisjoint(aud):
        raise WrongAudience("does not name this recipient", field="aud")


def check_not_from_future(iat: int, now_seconds: float, leeway_seconds: float) -> None:
    """Refuse a token that says it will be issued later.

    Args:
        iat: The token's `iat`, seconds since 1970 UTC.
        now_seconds: The present on the same scale.
        leeway_seconds: How far the transmitter's clock may be ahead; >= 0.

    Raises:
        MalformedSet: `iat` is later than now plus leeway.
    """
    if iat > now_seconds + leeway_seconds:
        raise MalformedSet("lies in the future", field="iat")


def _numeric_date(value: object, at: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedSet(f"must be a number, not {type_name(value)}", field=at)
    if not is_number(value):
        raise MalformedSet("must be a finite number within 64 bits", field=at)
    return value


def _txn(value: object) -> str | None:
    """RFC 8417 says string, the examples of CAEP 1.0 show a number: take its digits."""
    if isinstance(value, int) and is_number(value):
        return str(value)
    if value is None:
        return None
    return require_text(value, "txn", MalformedSet, max_chars=MAX_JTI_CHARS)


def _audiences(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    entries = value if isinstance(value, list | tuple) else [value]
    if len(entries) > MAX_AUDIENCES:
        raise MalformedSet(f"must name at most {MAX_AUDIENCES} audiences", field="aud")
    return tuple(
        require_text(entry, "aud", MalformedSet, max_chars=MAX_URI_CHARS) for entry in entries
    )


def _events(value: object) -> dict[str, Mapping[str, Any]]:
    """Check the envelope: a non-empty object of objects under absolute URIs (RFC 8417 §2.2)."""
    events = require_object(value, "events", MalformedSet)
    if not 1 <= len(events) <= MAX_EVENTS:
        raise MalformedSet(f"must have 1 to {MAX_EVENTS} events, not {len(events)}", field="events")
    for uri, payload in events.items():
        if len(uri) > MAX_URI_CHARS or not is_absolute_uri(uri):
            raise MalformedSet(f"{quote(uri)} is no absolute URI", field="events")
        require_object(payload, f"events.{uri}", MalformedSet)
    return dict(events)


def _sub_id(
    claims: Mapping[str, Any],
    events: Mapping[str, Mapping[str, Any]],
    *,
    allow_event_subject: bool,
) -> Mapping[str, Any]:
    value, at = claims.get("sub_id"), "sub_id"
    if value is None and allow_event_subject:
        for uri, payload in events.items():
            if payload.get("subject") is not None:
                value, at = payload["subject"], f"events.{uri}.subject"
                break
    if value is None:
        raise MalformedSet("is required (SSF 1.0 §4)", field="sub_id")
    try:
        return parse_subject(value, field=at, strict=False).identifier
    except MalformedSubject as exc:
        raise MalformedSet(exc.reason, field=exc.field) from exc

"""From the body of a request to a SET that may be believed.

The order of the checks is part of the contract: a SET with several faults is refused for the
earliest. Size, JWS syntax, `typ`, `alg`, `kid`, signature, `iss`, `aud`, `iat`, no `sub` or
`exp`, `events`, `sub_id`; then what remains: `txn`, `toe`, and the definitions of the events that
we know. So nothing of the claims is looked at before the signature, and strangers learn only that
their signature is not the issuer's.

Sources: RFC 8417 §2, RFC 8935 §2, SSF 1.0 §4.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from keys.algorithms import checked_algorithms
from keys.errors import KeysUnavailable, TokenRejected
from keys.public_key import PublicKey
from keys.verifier import MAX_TOKEN_BYTES, read_token, verify_signature
from receiver.errors import IssuerKeysUnavailable, SetRejected
from ssf.protocol.errors import (
    MalformedEvent,
    MalformedSet,
    ProtocolError,
    WrongAudience,
    WrongIssuer,
)
from ssf.protocol.event_types import EVENT_CLASSES
from ssf.protocol.events import Event, UnknownEvent, parse_event
from ssf.protocol.json_values import is_number, type_name
from ssf.protocol.push import PushError
from ssf.protocol.security_event_token import (
    SecurityEventToken,
    check_audience,
    check_issuer,
    check_not_from_future,
)
from ssf.protocol.subjects import Subject, parse_subject

INTEROP_ALGORITHMS: Final = frozenset({"RS256"})
"""What the CAEP interoperability profile asks of everybody."""

_DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "iat": "The claim iat is missing, malformed or in the future.",
        "sub": "The claim sub must not be present.",
        "exp": "The claim exp must not be present.",
    }
)


class KeyFinder(Protocol):
    """Where the issuer's keys come from: `keys.remote_jwks.RemoteJwks` or `StaticJwks`."""

    async def find_key(self, kid: str) -> PublicKey:
        """Return the issuer's key of this id, after at most one look at the issuer's JWK Set.

        Raises:
            UnknownKey: The issuer has no such key.
            KeysUnavailable: Nobody knows, since the JWK Set cannot be had now.
        """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifiedSet:
    """A SET that passed every check. Made by `SetVerifier.verify` only.

    Its `repr` shows neither the token nor the subject, so that it may stand in a log.

    Attributes:
        token: The claims.
        events: Event type URI to event, in the order of the token; at least one. Several are
            several names of one logical event (RFC 8417 §2.2). Types that we do not know are
            `UnknownEvent`.
        subject: Whom the events are about: `sub_id`.
        raw: The token as it was sent. Keep it if you must be able to prove later what you got.
    """

    token: SecurityEventToken
    events: Mapping[str, Event]
    subject: Subject
    raw: str

    @property
    def issuer(self) -> str:
        """The claim `iss`."""
        return self.token.iss

    @property
    def jti(self) -> str:
        """The claim `jti`: with the issuer, what this SET is known by."""
        return self.token.jti

    @property
    def txn(self) -> str | None:
        """The claim `txn`, shared by all SETs of one cause; None when absent."""
        return self.token.txn

    @property
    def event(self) -> Event:
        """The event; of several, the first whose type we know, or else the first."""
        events = list(self.events.values())
        return next((one for one in events if not isinstance(one, UnknownEvent)), events[0])

    # `typing.override` comes with Python 3.12.
    def __repr__(self) -> str:  # type: ignore[explicit-override]
        return f"VerifiedSet(iss={self.issuer!r}, jti={self.jti!r}, events={list(self.events)!r})"


class SetVerifier:
    """Checks the SETs of one issuer for one recipient."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        keys: KeyFinder,
        now: Callable[[], float],
        algorithms: Collection[str] = INTEROP_ALGORITHMS,
        leeway_seconds: float = 60.0,
        max_bytes: int = MAX_TOKEN_BYTES,
    ) -> None:
        """Remember what to expect.

        Args:
            issuer: The `iss` of the stream configuration; compared byte by byte.
            audience: The name or names by which the recipient goes; one of them must be in `aud`.
            keys: The issuer's keys.
            now: The wall clock in seconds since 1970 UTC, such as `time.time`.
            algorithms: What `alg` may be, such as {"RS256", "PS256", "ES256", "EdDSA"}. `none`
                and HMAC can never be allowed.
            leeway_seconds: How far the issuer's clock may be ahead; >= 0.
            max_bytes: Longest token.

        Raises:
            ValueError: An empty issuer or audience, or algorithms that are none or not asymmetric.
        """
        names = frozenset({audience} if isinstance(audience, str) else audience)
        if not issuer or not names or not all(names):
            raise ValueError("issuer and audience must not be empty")
        if leeway_seconds < 0:
            raise ValueError("leeway_seconds must not be negative")
        self.max_bytes: Final = max_bytes
        self._issuer = issuer
        self._audience = names
        self._keys = keys
        self._now = now
        self._algorithms = checked_algorithms(algorithms)
        self._leeway_seconds = leeway_seconds

    async def verify(self, body: bytes | str) -> VerifiedSet:
        """Check a SET, in the order that the module names.

        Args:
            body: A JWS in compact serialization, nothing around it.

        Raises:
            SetRejected: It must not be believed.
            IssuerKeysUnavailable: The issuer's keys cannot be had now; the SET may be fine.
        """
        claims = await self._signed_claims(body)
        try:
            self._check_issuer(claims)
            self._check_audience(claims)
            self._check_iat(claims)
            token = SecurityEventToken.from_claims(claims)
            subject = parse_subject(token.sub_id, field="sub_id", strict=False)
            events = {
                uri: parse_event(uri, payload, strict=False)
                for uri, payload in token.events.items()
            }
        except ProtocolError as exc:
            err = exc.err if isinstance(exc, MalformedSet) else PushError.INVALID_REQUEST
            raise SetRejected(err, _description(exc)) from exc
        return VerifiedSet(
            token=token,
            events=MappingProxyType(events),
            subject=subject,
            raw=body if isinstance(body, str) else body.decode("ascii"),
        )

    async def _signed_claims(self, body: bytes | str) -> Mapping[str, Any]:
        try:
            unverified = read_token(body, algorithms=self._algorithms, max_bytes=self.max_bytes)
            key = await self._keys.find_key(unverified.kid)
            return verify_signature(unverified, key).claims
        except KeysUnavailable as exc:
            raise IssuerKeysUnavailable("The keys of the issuer cannot be had now.") from exc
        except TokenRejected as exc:
            raise SetRejected(exc.err, exc.description) from exc

    # The three that follow look at single claims before `from_claims` reads them all, because a
    # SET that is not for us is to be refused for that, whatever else may be wrong with it.

    def _check_issuer(self, claims: Mapping[str, Any]) -> None:
        iss = claims.get("iss")
        if not isinstance(iss, str):
            raise MalformedSet(f"must be a string, not {type_name(iss)}", field="iss")
        check_issuer(iss, self._issuer)

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        aud = claims.get("aud")
        # A null counts as absent, as in `from_claims`, and no audience is a wrong one.
        names = aud if isinstance(aud, list) else [] if aud is None else [aud]
        if not all(isinstance(name, str) for name in names):
            raise MalformedSet("must be a string or an array of strings", field="aud")
        check_audience(names, self._audience)

    def _check_iat(self, claims: Mapping[str, Any]) -> None:
        iat: Any = claims.get("iat")
        if not is_number(iat):
            raise MalformedSet("must be a finite number", field="iat")
        check_not_from_future(math.floor(iat), self._now(), self._leeway_seconds)


def _description(exc: ProtocolError) -> str:
    """Say what is wrong in words of our own only; a `reason` may quote the token."""
    if isinstance(exc, WrongIssuer):
        return "The issuer is not acceptable."
    if isinstance(exc, WrongAudience):
        return "The audience does not name this recipient."
    if isinstance(exc, MalformedEvent):
        return _event_description(exc.field)
    claim = exc.field.partition(".")[0].partition("[")[0]
    return _DESCRIPTIONS.get(claim, f"The claim {claim} is missing or malformed.")


def _event_description(field: str) -> str:
    for uri, event_class in EVENT_CLASSES.items():
        name = event_class.event_type.name
        for member in event_class.table:
            if f"{field}.".startswith(
                (f"events.{uri}.{member.name}.", f"events.{uri}.{member.name}[")
            ):
                return f"The member {member.name} of the event {name} is missing or malformed."
    return "An event breaks the definition of its event type."

"""Believing Security Event Tokens: the only place that verifies.

Two steps, because the key is looked up between them: `read_token` looks at the outside of a token
and says which key it claims; `verify_signature` checks the claim and only then reads the payload.
Whether the claims are right (iss, aud, events ...) is for `ssf.protocol` to say.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws
from joserfc.errors import JoseError

from keys import base64url
from keys.algorithms import SIGNING_ALGORITHMS, checked_algorithms, registry_for
from keys.errors import (
    BadSignature,
    InvalidJson,
    MalformedToken,
    UnacceptableAlgorithm,
    UnacceptableHeader,
    UnacceptableType,
    UnknownKey,
)
from keys.public_key import MAX_KID_CHARS, PublicKey
from keys.strict_json import loads_object

SET_TYPE: Final = "secevent+jwt"  # RFC 8417 §2.3
DEFAULT_ALGORITHMS: Final = frozenset(SIGNING_ALGORITHMS)
MAX_TOKEN_BYTES: Final = 131_072

# RFC 7515 §4.1.9: the prefix may be left out, and media types do not mind case.
_ACCEPTED_TYPES: Final = frozenset({SET_TYPE, f"application/{SET_TYPE}"})

# `crit` and `b64` change how a token is to be read, and we know no such extension; `zip` and `enc`
# belong to encryption; the others bring or fetch the sender's own key, and a token must never say
# by which key it is to be believed. Members beyond these change nothing and are ignored
# (RFC 7515 §4).
_REFUSED_MEMBERS: Final = frozenset({"crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A well-formed token that nobody has vouched for. The payload is not readable yet.

    Attributes:
        header: The JOSE header, all members.
        kid: The key it claims to be signed by; 1 to 256 characters of the sender's choice, so
            never a file name, URL or log text.
        algorithm: Its `alg`, one of those allowed.
        signing_input: Header and payload as they were sent, with the dot between them.
        payload: Decoded bytes.
        signature: As it was sent, in base64url.
    """

    header: Mapping[str, Any] = field(repr=False)
    kid: str
    algorithm: str
    signing_input: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """Proof that these claims were signed by the key. Made by `verify_signature` only.

    Attributes:
        header: The JOSE header, all members.
        claims: The payload; strict JSON, not validated.
        kid: Id of the key that signed.
        algorithm: Algorithm it signed with.
    """

    header: Mapping[str, Any] = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    kid: str
    algorithm: str


def read_token(
    token: str | bytes,
    *,
    algorithms: Collection[str] = DEFAULT_ALGORITHMS,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> UnverifiedToken:
    """Look at the outside of a SET, cheapest check first, without believing anything in it.

    Args:
        token: JWS in compact serialization, without white space around it.
        algorithms: What `alg` may be. `none` and HMAC can never be allowed.
        max_bytes: Longest token; looked at before anything else.

    Raises:
        MalformedToken: Too long, not three non-empty base64url parts, or the header is not a
            strict JSON object.
        UnacceptableType: `typ` is not secevent+jwt (RFC 8417 §2.3). This is what keeps access
            tokens and ID tokens of the same issuer out.
        UnacceptableAlgorithm: `alg` is missing or not allowed.
        UnacceptableHeader: One of crit, b64, zip, enc, jwk, jku, x5u, x5c is there, or `kid` is
            not a string of 1 to 256 characters.
        ValueError: `algorithms` is empty or names something else than asymmetric signatures.
    """
    allowed = algorithms if algorithms is DEFAULT_ALGORITHMS else checked_algorithms(algorithms)
    head, body, signature = _split(token, max_bytes)
    try:
        raw_header, payload = base64url.decode(head), base64url.decode(body)
        base64url.decode(signature)
    except ValueError as exc:
        raise MalformedToken("A part of the token is not base64url without padding.") from exc
    try:
        header = loads_object(raw_header, max_bytes=max_bytes)
    except InvalidJson as exc:
        raise MalformedToken(f"The token header is refused: {exc.reason}.") from exc
    algorithm, kid = _judge(header, allowed)
    return UnverifiedToken(
        header=header,
        kid=kid,
        algorithm=algorithm,
        signing_input=head + b"." + body,
        payload=payload,
        signature=signature,
    )


def verify_signature(token: UnverifiedToken, key: PublicKey) -> VerifiedToken:
    """Check the signature, then read the payload.

    Args:
        token: From `read_token`.
        key: The issuer's key of the token's `kid`, from `RemoteJwks` or `StaticJwks`. That it is
            2048 bit at least and meant for verifying was checked when it was loaded.

    Raises:
        UnknownKey: The key has another kid.
        UnacceptableAlgorithm: The key's type, curve or own `alg` is not that of the token.
        BadSignature: Not signed by this key, or changed since.
        MalformedToken: Rightly signed, but the payload is not a strict JSON object.
    """
    if key.kid != token.kid:
        raise UnknownKey("The key is not the one that the token names.")
    if not key.fits(token.algorithm):
        raise UnacceptableAlgorithm("The key that the token names is not for this algorithm.")
    if not _is_signed_by(token, key):
        raise BadSignature("The signature is not valid.")
    try:
        claims = loads_object(token.payload, max_bytes=len(token.payload))
    except InvalidJson as exc:
        raise MalformedToken(f"The token payload is refused: {exc.reason}.") from exc
    return VerifiedToken(
        header=token.header, claims=claims, kid=token.kid, algorithm=token.algorithm
    )


def _split(token: str | bytes, max_bytes: int) -> tuple[bytes, bytes, bytes]:
    # Before the text is copied, split or decoded: work must not grow with what strangers send.
    if len(token) > max_bytes:
        raise MalformedToken("The token is too long.")
    try:
        raw = token.encode("ascii") if isinstance(token, str) else bytes(token)
    except UnicodeEncodeError as exc:
        raise MalformedToken("The token is not ASCII.") from exc
    # Counted first: a million dots would become a million parts.
    parts = raw.split(b".") if raw.count(b".") == 2 else []
    if not parts or not all(parts):
        raise MalformedToken("The token does not have exactly three non-empty parts.")
    head, body, signature = parts
    return head, body, signature


def _judge(header: Mapping[str, Any], allowed: Collection[str]) -> tuple[str, str]:
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower() not in _ACCEPTED_TYPES:
        raise UnacceptableType("The typ of the token is missing or not acceptable.")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise UnacceptableAlgorithm("The alg of the token is missing or not acceptable.")
    if not _REFUSED_MEMBERS.isdisjoint(header):
        raise UnacceptableHeader("The token header holds a member that is not acceptable.")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_CHARS:
        raise UnacceptableHeader("The kid of the token is missing or not acceptable.")
    return algorithm, kid


def _is_signed_by(token: UnverifiedToken, key: PublicKey) -> bool:
    # joserfc gets the parts as they were sent and of the header only what it needs, so that there
    # is one reading of the header, ours, and none of joserfc's size limits apply (512 bytes of
    # header in 1.8, which honest tokens exceed).
    head, _, body = token.signing_input.partition(b".")
    message = jws.CompactSignature({"alg": token.algorithm}, token.payload)
    message.segments.update({"header": head, "payload": body, "signature": token.signature})
    try:
        return jws.validate_compact(message, key.loaded, registry=registry_for(token.algorithm))
    except (JoseError, ValueError, TypeError, OverflowError, UnsupportedAlgorithm) as exc:
        raise BadSignature("The signature is not valid.") from exc

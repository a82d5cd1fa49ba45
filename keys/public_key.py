"""Keys that others publish: which of them we can verify with."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from keys import base64url
from keys.algorithms import KEY_FITS, KeyFit, check_rsa_bits
from keys.errors import InvalidJson, InvalidJwks, UnusableKey
from keys.strict_json import loads_object

MAX_KID_CHARS: Final = 256
MAX_JWKS_BYTES: Final = 262_144
MAX_JWKS_KEYS: Final = 100  # loading one takes up to a tenth of a millisecond of the event loop

_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublicKey:
    """One key of a JWK Set that can verify signatures, loaded once.

    Attributes:
        kid: Its id; 1 to 256 characters, chosen by the issuer.
        kty: `RSA`, `EC` or `OKP`.
        curve: `crv`, such as `P-256`; None for RSA.
        alg: The only algorithm that the issuer uses it with; None when the issuer does not say.
        discloses_private_key: True when the document holds the private half too. The public half
            works as any other, but the issuer should be told: everybody can sign in its name.
        loaded: The key as joserfc wants it. For `keys.verifier` only.
    """

    kid: str
    kty: str
    curve: str | None
    alg: str | None
    discloses_private_key: bool
    loaded: Key = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> "PublicKey":
        """Load the public half of a JWK (RFC 7517 §4); private members are never looked into.

        Raises:
            UnusableKey: No `kid`; `use`, `key_ops` or `alg` say that it is not for verifying;
                symmetric or unknown `kty` or curve; RSA outside 2048 to 8192 bits; not a valid
                key at all.
        """
        kid = jwk.get("kid")
        if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_CHARS:
            raise UnusableKey(f"no kid of 1 to {MAX_KID_CHARS} characters")
        _check_purpose(jwk)
        kty, curve = fit = _fit_of(jwk)
        alg = jwk.get("alg")
        if alg is not None and (not isinstance(alg, str) or KEY_FITS.get(alg) != fit):
            raise UnusableKey("meant for an algorithm that such a key cannot verify")
        return cls(
            kid=kid,
            kty=kty,
            curve=curve,
            alg=alg,
            discloses_private_key=not _PRIVATE_MEMBERS.isdisjoint(jwk),
            loaded=_load(kty, jwk),
        )

    def fits(self, algorithm: str) -> bool:
        """Whether type, curve and the issuer's own word allow this algorithm."""
        if self.alg is not None and self.alg != algorithm:
            return False
        return KEY_FITS.get(algorithm) == (self.kty, self.curve)


def parse_jwks(document: bytes) -> Mapping[str, PublicKey]:
    """Read a JWK Set (RFC 7517 §5) into the keys that can verify signatures.

    Keys that we cannot use are passed over, as the RFC asks for unknown ones; see
    `PublicKey.from_jwk`. When two usable keys share a kid, both are passed over: which of them is
    meant would depend on the order in the document, and an attacker who can add a key must not
    be able to replace one.

    Args:
        document: The JSON text, at most 262 144 bytes and 100 keys.

    Returns:
        The keys by kid, in the order of the document; may be empty.

    Raises:
        InvalidJwks: Not strict JSON, not an object with a list `keys`, or too large.
    """
    try:
        members = loads_object(document, max_bytes=MAX_JWKS_BYTES)
    except InvalidJson as exc:
        raise InvalidJwks(f"The JWK Set is not strict JSON: {exc.reason}.") from exc
    return keys_of(members)


def keys_of(document: Mapping[str, Any]) -> Mapping[str, PublicKey]:
    """Like `parse_jwks`, for a document that is parsed already.

    Raises:
        InvalidJwks: No list `keys`, or more than 100 in it.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise InvalidJwks("The JWK Set has no list of keys.")
    if len(entries) > MAX_JWKS_KEYS:
        raise InvalidJwks(f"The JWK Set has more than {MAX_JWKS_KEYS} keys.")
    usable = [key for entry in entries if (key := _usable(entry)) is not None]
    counts = Counter(key.kid for key in usable)
    return {key.kid: key for key in usable if counts[key.kid] == 1}


def _usable(entry: object) -> PublicKey | None:
    if not isinstance(entry, dict):
        return None
    try:
        return PublicKey.from_jwk(entry)
    except UnusableKey:
        return None


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey("not meant for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("not meant for verifying")


def _fit_of(jwk: Mapping[str, Any]) -> KeyFit:
    kty = jwk.get("kty")
    curve = None if kty == "RSA" else jwk.get("crv")
    if not isinstance(kty, str) or (kty, curve) not in KEY_FITS.values():
        raise UnusableKey("a type or curve that no accepted algorithm takes")
    return KeyFit(kty, curve)


def _load(kty: str, jwk: Mapping[str, Any]) -> Key:
    public: dict[str, Any] = {name: jwk.get(name) for name in _PUBLIC_MEMBERS[kty]}
    try:
        if kty == "RSA":
            # Before joserfc sees it, which would only warn.
            modulus = base64url.decode(public["n"].encode("ascii"))
            check_rsa_bits(int.from_bytes(modulus, "big").bit_length())
            return RSAKey.import_key({"kty": kty, **public})
        if kty == "EC":
            return ECKey.import_key({"kty": kty, **public})
        return OKPKey.import_key({"kty": kty, **public})
    except (
        JoseError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
        UnsupportedAlgorithm,
    ) as exc:
        raise UnusableKey(f"not a valid {kty} key") from exc

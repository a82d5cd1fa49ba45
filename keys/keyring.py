"""Our own signing keys and what each of them is good for at the moment.

A key is published before it signs and after it has signed, for at least as long as receivers may
cache the JWK Set, so that none of them ever meets a signature by a key that it cannot have:

    upcoming  published, does not sign yet
    signing   published, signs
    retired   published, signs no more; queued tokens are signed when sent, so none needs it
    removed   not published; tokens signed by it are no longer believed
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey

from keys.algorithms import KEY_FITS, SIGNING_ALGORITHMS, check_rsa_bits
from keys.errors import UnusableKey

# joserfc and others refuse long headers, 512 bytes in all (joserfc 1.8), so our ids stay short.
MAX_KID_CHARS: Final = 64
_KID: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_KID_CHARS}}}")
_RSA_BITS: Final = 2048

# A list of what may go out, never of what must not: a member added later stays inside.
_PUBLIC_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y", "kid", "alg", "use")

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyState(StrEnum):
    """Where a key is in its life; always in this order."""

    UPCOMING = "upcoming"
    SIGNING = "signing"
    RETIRED = "retired"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SigningKey:
    """A private key of ours, loaded once and kept, with what we know about it.

    Its `repr` shows kid, algorithm and state only. Made by `generate_signing_key` and
    `load_signing_key`.

    Attributes:
        kid: Key id in token header and JWK Set; 1 to 64 visible ASCII characters.
        algorithm: The one `alg` it signs with; one of RS256, PS256, ES256, EdDSA.
        state: See `KeyState`.
        created_at: When the key was made, in microseconds since 1970 UTC; decides which of
            several signing keys is the newest.
        loaded: The key as joserfc wants it. For `keys.signer` only.
    """

    kid: str
    algorithm: str
    state: KeyState
    created_at: int = field(repr=False)
    loaded: Key = field(repr=False)

    def __post_init__(self) -> None:
        if not _KID.fullmatch(self.kid):
            raise UnusableKey(f"a kid has 1 to {MAX_KID_CHARS} visible ASCII characters")
        if self.created_at < 0:
            raise UnusableKey("created_at is in microseconds since 1970, not negative")

    def with_state(self, state: KeyState) -> "SigningKey":
        """The same key in another state; shares the loaded key, so it costs nothing."""
        return replace(self, state=state)

    def private_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 PEM. Encrypt before it is stored."""
        private = self.loaded.private_key
        if not isinstance(private, PrivateKey):
            raise UnusableKey("not a private key")
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_jwk(self) -> dict[str, Any]:
        """The public half as JWK (RFC 7517 §4) with `kid`, `alg` and `use`; never a private member."""
        members = self.loaded.as_dict(private=False)
        return {name: members[name] for name in _PUBLIC_MEMBERS if name in members}


def generate_signing_key(
    algorithm: str, *, created_at: int, state: KeyState = KeyState.SIGNING
) -> SigningKey:
    """Make a new key. RSA (2048 bit) takes a tenth of a second or more: not on the event loop.

    Args:
        algorithm: RS256, PS256, ES256 or EdDSA (which is Ed25519).
        created_at: Now, in microseconds since 1970 UTC.
        state: State to start in.

    Returns:
        The key, under a random id that says nothing about it.

    Raises:
        UnusableKey: Another algorithm.
    """
    private: PrivateKey
    match algorithm:
        case "RS256" | "PS256":
            private = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case _:
            raise UnusableKey(f"keys are made for {', '.join(SIGNING_ALGORITHMS)} only")
    # Hexadecimal rather than base64url: an id that begins with "-" is taken for an option.
    kid = secrets.token_hex(16)
    return _wrap(private, kid=kid, algorithm=algorithm, state=state, created_at=created_at)


def load_signing_key(
    pem: bytes, *, kid: str, algorithm: str, state: KeyState, created_at: int
) -> SigningKey:
    """Load a private key. RSA takes tens of milliseconds: load once, not on the event loop.

    Args:
        pem: Unencrypted private key, as `SigningKey.private_pem` writes it.
        kid: Its id; 1 to 64 visible ASCII characters.
        algorithm: The `alg` it is to sign with.
        state: See `KeyState`.
        created_at: Microseconds since 1970 UTC.

    Raises:
        UnusableKey: Not such a PEM, a key of another type or curve than the algorithm takes, RSA
            outside 2048 to 8192 bits, a bad kid. Says nothing of the key itself.
    """
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise UnusableKey("not an unencrypted private key in PEM form") from exc
    if not isinstance(private, PrivateKey):
        raise UnusableKey(f"a {type(private).__name__} cannot sign for us")
    return _wrap(private, kid=kid, algorithm=algorithm, state=state, created_at=created_at)


class Keyring:
    """All keys of one issuer. Immutable: a change makes a new one."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """Take the keys, in any order and state.

        Raises:
            UnusableKey: Two of them share a kid.
        """
        if len({key.kid for key in keys}) != len(keys):
            raise UnusableKey("two keys share a kid")
        self._keys = tuple(sorted(keys, key=lambda key: (key.created_at, key.kid)))

    def __iter__(self) -> Iterator[SigningKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def signing_key(self, algorithm: str) -> SigningKey:
        """The newest key that signs with this algorithm.

        Raises:
            UnusableKey: There is none in state signing.
        """
        for key in reversed(self._keys):
            if key.state is KeyState.SIGNING and key.algorithm == algorithm:
                return key
        raise UnusableKey(f"no key signs with {algorithm}")

    def published_keys(self) -> tuple[SigningKey, ...]:
        """Every key that receivers may need, oldest first: upcoming, signing, retired."""
        return tuple(key for key in self._keys if key.state is not KeyState.REMOVED)


def _wrap(
    private: PrivateKey, *, kid: str, algorithm: str, state: KeyState, created_at: int
) -> SigningKey:
    if algorithm not in SIGNING_ALGORITHMS:
        raise UnusableKey(f"keys sign with {', '.join(SIGNING_ALGORITHMS)} only")
    parameters: KeyParameters = {"kid": kid, "alg": algorithm, "use": "sig"}
    loaded: RSAKey | ECKey | OKPKey
    curve: str | None = None
    match private:
        case rsa.RSAPrivateKey():
            check_rsa_bits(private.key_size)
            loaded = RSAKey.import_key(private, parameters)
        case ec.EllipticCurvePrivateKey():
            loaded = ECKey.import_key(private, parameters)
            curve = loaded.curve_name
        case ed25519.Ed25519PrivateKey():
            loaded = OKPKey.import_key(private, parameters)
            curve = loaded.curve_name
    if (loaded.key_type, curve) != KEY_FITS[algorithm]:
        raise UnusableKey(f"the key is not of the type that {algorithm} takes")
    return SigningKey(
        kid=kid, algorithm=algorithm, state=state, created_at=created_at, loaded=loaded
    )

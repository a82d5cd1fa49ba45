"""Secrets at rest: encrypted, and bound to the place where they are stored.

Sealed form, all of it ASCII and safe in URLs:

    v1.<key id, 8 characters>.<base64url of 12 bytes nonce, ciphertext, 16 bytes tag>

AES-256-GCM; key and key id come from the secret text by HKDF-SHA256 with different labels. The
version, the key id and the caller's context are authenticated but not stored in the ciphertext,
so a value moved to another row or column does not open. Nonces are random, which is sound for
2**32 values under one secret (NIST SP 800-38D §8.3).
"""

import os
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys import base64url
from keys.errors import WrongSecretKey

MIN_SECRET_CHARS: Final = 16
_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 6


def generate_secret() -> str:
    """A new secret for `SecretBox`: 43 url-safe characters, 256 bits of randomness."""
    return secrets.token_urlsafe(32)


class SecretBox:
    """Seals small secrets with one key and opens what it or its predecessors sealed.

    Slots and no `repr` of its own: nothing secret shows in logs and tracebacks.
    """

    __slots__ = ("_ciphers", "_key_id")

    def __init__(self, secret: str, *, previous: Sequence[str] = ()) -> None:
        """Derive the keys.

        Args:
            secret: Seals and opens. At least 16 random characters (96 bits), not a password: the
                derivation is fast and does not slow down guessing.
            previous: Earlier secrets; they open and never seal.

        Raises:
            ValueError: A secret is too short. The message says how to make one, and does not
                repeat it.
            TypeError: `previous` is a single string.
        """
        if isinstance(previous, str):
            raise TypeError("previous is a sequence of secrets, not one")
        self._ciphers: dict[str, AESGCM] = {}
        for text in (*previous, secret):
            _check_length(text)
            self._ciphers[_key_id(text)] = AESGCM(_derive(text, b"encryption key", 32))
        self._key_id = _key_id(secret)

    @property
    def key_id(self) -> str:
        """Short public name of the key that seals, derived from the secret one way."""
        return self._key_id

    def encrypt(self, plaintext: bytes, *, context: str) -> str:
        """Seal a secret.

        Args:
            plaintext: Anything; sealing the same twice gives different texts.
            context: Names where it will be stored, such as `streams.authorization_header:17`.
                Never empty; the same must be given to `decrypt`.
        """
        nonce = os.urandom(_NONCE_BYTES)
        associated = _associated(self._key_id, context)
        body = nonce + self._ciphers[self._key_id].encrypt(nonce, plaintext, associated)
        return f"{_VERSION}.{self._key_id}.{base64url.encode(body)}"

    def decrypt(self, sealed: str, *, context: str) -> bytes:
        """Open what `encrypt` sealed.

        Raises:
            WrongSecretKey: Sealed by a secret not given here, for another context, changed
                since, or no sealed text at all.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        cipher = self._ciphers.get(key_id)
        if version != _VERSION or cipher is None:
            raise WrongSecretKey("sealed by a secret key that is not configured")
        try:
            data = base64url.decode(body.encode("ascii"))
            return cipher.decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], _associated(key_id, context)
            )
        except (InvalidTag, ValueError) as exc:
            raise WrongSecretKey("changed since it was sealed, or sealed elsewhere") from exc

    def needs_reencryption(self, sealed: str) -> bool:
        """Whether this was sealed by anything but the current secret and version."""
        return not sealed.startswith(f"{_VERSION}.{self._key_id}.")


def _check_length(secret: str) -> None:
    if len(secret) < MIN_SECRET_CHARS:
        raise ValueError(
            f"a secret key has at least {MIN_SECRET_CHARS} characters; make one with:"
            " python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )


def _associated(key_id: str, context: str) -> bytes:
    if not context:
        raise ValueError("a context says where the secret is stored; it is not empty")
    return f"{_VERSION}.{key_id}.{context}".encode()


def _key_id(secret: str) -> str:
    return base64url.encode(_derive(secret, b"key id", _KEY_ID_BYTES))


def _derive(secret: str, label: bytes, length_bytes: int) -> bytes:
    info = b"sharedsignals secret box v1: " + label
    return HKDF(algorithm=SHA256(), length=length_bytes, salt=None, info=info).derive(
        secret.encode("utf-8")
    )

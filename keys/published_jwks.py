"""The JWK Set that we publish, and how long others may keep it (RFC 7517 §5)."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from keys import base64url
from keys.keyring import Keyring
from keys.strict_json import dumps_canonical

# Rotation counts on this: a key signs only after it has been published for longer than receivers
# may keep an older document.
JWKS_MAX_AGE_SECONDS: Final = 600


def published_jwks(keyring: Keyring) -> dict[str, Any]:
    """The document for `jwks_uri`: every upcoming, signing and retired key, oldest first.

    The order follows from creation alone, so a key that moves on to its next state changes
    neither the document nor its entity tag.
    """
    return {"keys": [key.public_jwk() for key in keyring.published_keys()]}


def cache_control() -> str:
    """Value of the Cache-Control header (RFC 9111 §5.2.2)."""
    return f"public, max-age={JWKS_MAX_AGE_SECONDS}"


def etag(document: Mapping[str, Any]) -> str:
    """Strong entity tag with its quotes (RFC 9110 §8.8.3): equal documents, equal tags."""
    digest = hashlib.sha256(dumps_canonical(dict(document)).encode()).digest()
    return f'"{base64url.encode(digest[:16])}"'

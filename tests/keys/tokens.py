"""A second, independent way to make and check tokens: base64 by hand and raw `cryptography`.

Nothing here uses `keys` or joserfc, so that a mistake of theirs cannot hide by being made twice.
"""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.example",
    "aud": "https://receiver.example",
    "iat": 1700000000,
    "jti": "756E69717565206964656E746966696572",
    "sub_id": {"format": "email", "email": "jane@example.com"},
    "events": {
        "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {
            "event_timestamp": 1700000000
        }
    },
}

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def uint(number: int, length: int | None = None) -> str:
    return b64(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def join(header: Any, payload: Any, signature: bytes = b"not a signature") -> str:
    """Put a token together; bytes go in as they are, all else as JSON."""
    parts = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in (header, payload)]
    return ".".join([b64(parts[0]), b64(parts[1]), b64(signature)])


def raw_sign(private: Any, algorithm: str, message: bytes) -> Any:
    if algorithm == "RS256":
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS256":
        return private.sign(message, _PSS, hashes.SHA256())
    if algorithm == "ES256":
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if algorithm in ("ES384", "ES512"):
        digest, size = {"ES384": (hashes.SHA384(), 48), "ES512": (hashes.SHA512(), 66)}[algorithm]
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if algorithm in ("RS384", "RS512", "PS384", "PS512"):
        wide = hashes.SHA384() if algorithm.endswith("384") else hashes.SHA512()
        pss = padding.PSS(mgf=padding.MGF1(wide), salt_length=wide.digest_size)
        return private.sign(message, pss if algorithm[0] == "P" else padding.PKCS1v15(), wide)
    assert algorithm in ("EdDSA", "Ed25519")
    return private.sign(message)


def raw_token(
    private: Any, algorithm: str, *, payload: Any = None, kid: str = "k1", **header: Any
) -> str:
    """A rightly signed token, its header free to choose; a member given as None is left out."""
    members = {"typ": "secevent+jwt", "alg": algorithm, "kid": kid, **header}
    members = {name: value for name, value in members.items() if value is not None}
    unsigned = join(members, CLAIMS if payload is None else payload).rpartition(".")[0]
    return f"{unsigned}.{b64(raw_sign(private, algorithm, unsigned.encode()))}"


def raw_verify(public: Any, algorithm: str, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a token; returns header and claims, raises InvalidSignature."""
    head, body, signature = token.split(".")
    message, sig = f"{head}.{body}".encode(), unb64(signature)
    if algorithm == "RS256":
        public.verify(sig, message, padding.PKCS1v15(), hashes.SHA256())
    elif algorithm == "PS256":
        public.verify(sig, message, _PSS, hashes.SHA256())
    elif algorithm == "ES256":
        assert len(sig) == 64
        r, s = int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big")
        public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    else:
        public.verify(sig, message)
    return json.loads(unb64(head)), json.loads(unb64(body))


def raw_jwk(public: Any, **members: Any) -> dict[str, Any]:
    """The JWK of a raw public key, written by hand."""
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        jwk = {"kty": "RSA", "n": uint(numbers.n), "e": uint(numbers.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.key_size + 7) // 8
        name = {256: "P-256", 384: "P-384", 521: "P-521"}[public.key_size]
        jwk = {"kty": "EC", "crv": name, "x": uint(point.x, size), "y": uint(point.y, size)}
    else:
        assert isinstance(public, ed25519.Ed25519PublicKey)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
    return {**jwk, "kid": "k1", **members}

"""Builds SETs, good and bad, without `keys`: base64 and signatures come from `tests.keys.tokens`."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from keys.remote_jwks import StaticJwks
from receiver import SetVerifier
from receiver.push_endpoint import AsgiApp
from tests.keys.tokens import b64, join, raw_jwk, raw_sign

NOW = 1_700_000_000
ISSUER = "https://issuer.example/tenant"
AUDIENCE = "https://receiver.example/events"
AUTHORIZATION = "Bearer 2YotnFZFEjr1zCsicMWpAA"
KID = "k1"

SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CREDENTIAL_CHANGE = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
COMPLIANCE_CHANGE = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
CUSTOM = "https://events.example/made-up"

EMAIL = "jane.roe.canary@example.com"
SUBJECT = {"format": "email", "email": EMAIL}

ABSENT: Any = object()
"""A claim or header member given as this is left out."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A SET in the making; `compact` signs it."""

    claims: dict[str, Any] = field(
        default_factory=lambda: {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": NOW,
            "jti": "jti-1",
            "txn": "txn-1",
            "sub_id": SUBJECT,
            "events": {SESSION_REVOKED: {"event_timestamp": NOW}},
        }
    )
    header: dict[str, Any] = field(
        default_factory=lambda: {"typ": "secevent+jwt", "alg": "RS256", "kid": KID}
    )
    signed_as: str = "RS256"
    signer: Any = None
    """None: the issuer."""
    suffix: str = ""

    def claiming(self, **claims: Any) -> "Draft":
        return replace(self, claims=_changed(self.claims, claims))

    def heading(self, **members: Any) -> "Draft":
        return replace(self, header=_changed(self.header, members))

    def compact(self, issuer_key: Any) -> str:
        return self.compact_of(json.dumps(self.claims).encode(), issuer_key)

    def compact_of(self, payload: bytes, issuer_key: Any) -> str:
        unsigned = join(self.header, payload).rpartition(".")[0]
        signer = issuer_key if self.signer is None else self.signer
        return f"{unsigned}.{b64(raw_sign(signer, self.signed_as, unsigned.encode()))}{self.suffix}"


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}


def jwks_of(*publics: rsa.RSAPublicKey, kid: str = KID) -> dict[str, Any]:
    return {"keys": [raw_jwk(public, kid=kid, use="sig", alg="RS256") for public in publics]}


def verifier_for(issuer_key: rsa.RSAPrivateKey, **options: Any) -> SetVerifier:
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "keys": StaticJwks(jwks_of(issuer_key.public_key())),
        "now": lambda: float(NOW),
    }
    return SetVerifier(**(given | options))


def client_of(app: AsgiApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://receiver.example",
        headers={"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION},
    )

import copy
import math
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from keys.errors import InvalidJson, UnusableKey
from keys.keyring import KeyState, generate_signing_key
from keys.remote_jwks import PublicKey
from keys.signer import sign_set
from keys.verifier import read_token, verify_signature
from tests.keys.tokens import CLAIMS, raw_verify, unb64


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_our_tokens_are_believed_by_others_and_by_us(algorithm: str) -> None:
    key = generate_signing_key(algorithm, created_at=0)
    token = sign_set(CLAIMS, key)
    private: Any = load_pem_private_key(key.private_pem(), None)
    header, claims = raw_verify(private.public_key(), algorithm, token)
    assert header == {"typ": "secevent+jwt", "alg": algorithm, "kid": key.kid}
    assert claims == CLAIMS
    verified = verify_signature(read_token(token), PublicKey.from_jwk(key.public_jwk()))
    assert verified.claims == CLAIMS
    assert verified.header == header
    assert (verified.kid, verified.algorithm) == (key.kid, algorithm)


def test_claims_are_written_as_they_are_and_never_changed() -> None:
    key = generate_signing_key("ES256", created_at=0)
    claims = {"z": 1, "a": "ä", **copy.deepcopy(CLAIMS)}
    before = copy.deepcopy(claims)
    token = sign_set(claims, key)
    assert claims == before
    assert unb64(token.split(".")[1]).startswith('{"z":1,"a":"ä","iss":'.encode())
    assert sign_set(MappingProxyType(claims), key).split(".")[:2] == token.split(".")[:2]


@pytest.mark.parametrize("bad", [math.nan, math.inf, object(), "\0", "\ud800"])
def test_claims_that_are_no_strict_json_are_not_signed(bad: object) -> None:
    key = generate_signing_key("ES256", created_at=0)
    with pytest.raises(InvalidJson):
        sign_set({"iat": bad}, key)


@pytest.mark.parametrize("state", [KeyState.UPCOMING, KeyState.RETIRED, KeyState.REMOVED])
def test_only_a_key_in_state_signing_signs(state: KeyState) -> None:
    with pytest.raises(UnusableKey, match=state):
        sign_set(CLAIMS, generate_signing_key("ES256", created_at=0, state=state))

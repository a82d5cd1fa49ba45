import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from keys.algorithms import KEY_FITS
from keys.errors import InvalidJwks, UnusableKey
from keys.keyring import Keyring, generate_signing_key
from keys.public_key import PublicKey, parse_jwks
from keys.published_jwks import published_jwks
from tests.keys.tokens import b64, raw_jwk, uint

EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC_JWK = raw_jwk(EC_KEY.public_key())


def kids(*jwks: Any) -> list[str]:
    return list(parse_jwks(json.dumps({"keys": jwks}).encode()))


def test_what_we_publish_can_be_read_by_ourselves() -> None:
    ring = Keyring([generate_signing_key(a, created_at=0) for a in ("RS256", "ES256", "EdDSA")])
    keys = parse_jwks(json.dumps(published_jwks(ring)).encode())
    assert list(keys) == [key.kid for key in ring]
    assert {key.alg for key in keys.values()} == {"RS256", "ES256", "EdDSA"}
    assert not any(key.discloses_private_key for key in keys.values())


def test_type_and_curve_decide_which_algorithms_a_key_fits(private_keys: dict[str, Any]) -> None:
    key = PublicKey.from_jwk(raw_jwk(private_keys["RS256"].public_key()))
    assert (key.kid, key.kty, key.curve, key.alg) == ("k1", "RSA", None, None)
    assert {a for a in KEY_FITS if key.fits(a)} == {
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
    }
    assert {a for a in KEY_FITS if PublicKey.from_jwk(EC_JWK).fits(a)} == {"ES256"}
    named = PublicKey.from_jwk({**EC_JWK, "alg": "ES256", "use": "sig", "key_ops": ["verify"]})
    assert named.fits("ES256")
    assert not named.fits("ES384")


@pytest.mark.parametrize(
    "change",
    [
        {"kid": None},
        {"kid": ""},
        {"kid": 1},
        {"kid": "k" * 257},
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": []},
        {"alg": "RS256"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": "ECDH-ES"},
        {"alg": None, "crv": "secp256k1"},
        {"alg": ["ES256"]},
        {"crv": "P-384"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": "AKP"},
        {"kty": ["EC"]},
        {"x": "AAAA"},
        pytest.param({"x": EC_JWK["y"]}, id="x is y"),
        {"y": 1},
        {"y": None},
        pytest.param({"y": EC_JWK["y"] + "="}, id="y is padded"),
        {"x": "ä"},
    ],
    ids=str,
)
def test_a_key_that_cannot_verify_is_passed_over(change: dict[str, Any]) -> None:
    good = {**EC_JWK, "kid": "good"}
    assert kids({**EC_JWK, **change}, good) == ["good"]
    with pytest.raises(UnusableKey):
        PublicKey.from_jwk({**EC_JWK, **change})


@pytest.mark.parametrize("entry", [None, 1, "key", [], {}], ids=repr)
def test_what_is_no_key_at_all_is_passed_over(entry: Any) -> None:
    assert kids(entry, EC_JWK) == ["k1"]


def test_curves_that_sign_for_nobody_are_passed_over() -> None:
    for curve, private in (
        ("X25519", x25519.X25519PrivateKey.generate()),
        ("Ed448", ed448.Ed448PrivateKey.generate()),
    ):
        x = b64(private.public_key().public_bytes_raw())
        assert kids({"kty": "OKP", "crv": curve, "x": x, "kid": "k1"}) == []


def test_rsa_keys_that_are_weak_or_absurd_are_passed_over() -> None:
    weak = generate_private_key(public_exponent=65537, key_size=1024).public_key()
    assert kids(raw_jwk(weak)) == []
    good = raw_jwk(generate_private_key(public_exponent=65537, key_size=2048).public_key())
    assert kids(good) == ["k1"]
    for change in (
        {"n": uint(2**2046 + 1)},
        {"n": uint(2**8192 + 1)},
        {"n": ""},
        {"n": None},
        {"n": 5},
        {"e": uint(1)},
        {"e": uint(2)},
        {"e": ""},
        {"e": None},
    ):
        assert kids({**good, **change}) == []


def test_a_kid_that_two_keys_share_means_neither() -> None:
    other = raw_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert kids(EC_JWK, {**other, "kid": "k2"}, other) == ["k2"]
    assert kids(EC_JWK, {**other, "use": "enc"}) == ["k1"]


def test_of_a_private_key_only_the_public_half_is_used_and_the_leak_is_told() -> None:
    jwk = {**EC_JWK, "d": uint(EC_KEY.private_numbers().private_value, 32)}
    key = parse_jwks(json.dumps({"keys": [jwk]}).encode())["k1"]
    assert key.discloses_private_key
    assert not key.loaded.is_private
    assert "d" not in key.loaded.as_dict()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":' + b"[" * 100_000,
        b'{"keys":[],"pad":"' + b"x" * 262_144 + b'"}',
        json.dumps({"keys": [EC_JWK] * 101}).encode(),
    ],
    ids=range(10),
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidJwks):
        parse_jwks(document)


def test_a_set_of_a_hundred_keys_is_accepted_and_an_empty_one_too() -> None:
    assert len(kids(*({**EC_JWK, "kid": str(n)} for n in range(100)))) == 100
    assert kids() == []

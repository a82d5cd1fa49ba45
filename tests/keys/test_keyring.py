import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from keys.errors import UnusableKey
from keys.keyring import Keyring, KeyState, SigningKey, generate_signing_key, load_signing_key
from keys.published_jwks import JWKS_MAX_AGE_SECONDS, cache_control, etag, published_jwks

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def make(
    created_at: int = 0, state: KeyState = KeyState.SIGNING, algorithm: str = "ES256"
) -> SigningKey:
    return generate_signing_key(algorithm, created_at=created_at, state=state)


def load(pem: bytes, algorithm: str = "ES256", kid: str = "k", created_at: int = 0) -> SigningKey:
    return load_signing_key(
        pem, kid=kid, algorithm=algorithm, state=KeyState.SIGNING, created_at=created_at
    )


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_key_survives_being_stored_and_loaded(algorithm: str) -> None:
    key = make(algorithm=algorithm, created_at=5)
    again = load(key.private_pem(), algorithm, key.kid, 5)
    assert again.public_jwk() == key.public_jwk()
    assert again.private_pem() == key.private_pem()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_the_public_jwk_says_what_the_key_is_for_and_holds_nothing_private(algorithm: str) -> None:
    key = make(algorithm=algorithm)
    jwk = key.public_jwk()
    assert jwk["kid"] == key.kid
    assert jwk["alg"] == algorithm
    assert jwk["use"] == "sig"
    expected = {"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}[jwk["kty"]]
    assert jwk.keys() == {"kty", "kid", "alg", "use"} | expected
    assert PRIVATE_MEMBERS.isdisjoint(jwk)


def test_key_ids_are_random_short_and_fit_for_urls_and_command_lines() -> None:
    ids = {make().kid for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{15,63}", kid) for kid in ids)


def test_repr_shows_nothing_but_kid_algorithm_and_state() -> None:
    key = make(created_at=987654)
    assert repr(key) == (
        f"SigningKey(kid='{key.kid}', algorithm='ES256', state=<KeyState.SIGNING: 'signing'>)"
    )


def test_a_kid_of_64_characters_is_accepted_and_one_of_65_refused() -> None:
    pem = make().private_pem()
    assert load(pem, kid="x" * 64).kid == "x" * 64
    for bad in ("", "x" * 65, "ä", "a b", "a\nb"):
        with pytest.raises(UnusableKey):
            load(pem, kid=bad)


@pytest.mark.parametrize("algorithm", ["HS256", "none", "", "RS512", "ES384"])
def test_keys_are_made_and_loaded_for_our_algorithms_only(algorithm: str) -> None:
    with pytest.raises(UnusableKey):
        make(algorithm=algorithm)
    with pytest.raises(UnusableKey):
        load(make().private_pem(), algorithm)


def pem_of(private: object) -> bytes:
    assert isinstance(
        private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
    )
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_that_does_not_fit_its_algorithm_is_refused() -> None:
    rsa_1024 = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    p384 = pem_of(ec.generate_private_key(ec.SECP384R1()))
    edwards_448 = pem_of(ed448.Ed448PrivateKey.generate())
    p256, ed = make().private_pem(), make(algorithm="EdDSA").private_pem()
    for pem, algorithm in [
        (rsa_1024, "RS256"),
        (p384, "ES256"),
        (edwards_448, "EdDSA"),
        (p256, "RS256"),
        (p256, "EdDSA"),
        (ed, "ES256"),
    ]:
        with pytest.raises(UnusableKey):
            load(pem, algorithm)


def test_a_key_made_before_1970_is_refused() -> None:
    with pytest.raises(UnusableKey):
        make(-1)


def test_what_is_no_plain_private_key_is_refused() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    encrypted = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem in (
        b"",
        b"\xff",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        encrypted,
        public,
    ):
        with pytest.raises(UnusableKey):
            load(pem, "EdDSA")


def test_the_newest_key_in_state_signing_signs() -> None:
    old, new = make(1), make(2)
    others = [make(n, state) for n, state in enumerate(KeyState, 3) if state != "signing"]
    ring = Keyring([*others, new, old])
    assert ring.signing_key("ES256") is new
    with pytest.raises(UnusableKey):
        ring.signing_key("RS256")
    with pytest.raises(UnusableKey):
        Keyring([]).signing_key("ES256")


def test_every_key_but_a_removed_one_is_published_oldest_first() -> None:
    keys = {state: make(n, state) for n, state in enumerate(KeyState)}
    ring = Keyring(list(keys.values())[::-1])
    kids = [key["kid"] for key in published_jwks(ring)["keys"]]
    assert kids == [keys[KeyState(s)].kid for s in ("upcoming", "signing", "retired")]
    assert len(ring) == 4
    assert set(ring) == set(keys.values())


def test_two_keys_of_one_kid_are_refused() -> None:
    key = make()
    with pytest.raises(UnusableKey):
        Keyring([key, key.with_state(KeyState.RETIRED)])


def test_the_published_document_changes_with_the_keys_and_not_with_their_states() -> None:
    first, second = make(1), make(2, KeyState.UPCOMING)
    document = published_jwks(Keyring([first, second]))
    moved = [second.with_state(KeyState.SIGNING), first.with_state(KeyState.RETIRED)]
    assert published_jwks(Keyring(moved)) == document
    assert etag(published_jwks(Keyring(moved))) == etag(document)
    assert etag(published_jwks(Keyring([first]))) != etag(document)
    assert re.fullmatch(r'"[\w-]+"', etag(document))


def test_receivers_may_keep_the_document_for_ten_minutes() -> None:
    assert JWKS_MAX_AGE_SECONDS == 600
    assert cache_control() == "public, max-age=600"

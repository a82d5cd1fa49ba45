"""What a receiver must refuse (RFC 7515, RFC 8417, RFC 8725), and the little it must accept."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError

from keys.algorithms import KEY_FITS, registry_for
from keys.errors import (
    BadSignature,
    MalformedToken,
    TokenRejected,
    UnacceptableAlgorithm,
    UnacceptableHeader,
    UnacceptableType,
    UnknownKey,
)
from keys.public_key import PublicKey
from keys.verifier import (
    DEFAULT_ALGORITHMS,
    SET_TYPE,
    UnverifiedToken,
    read_token,
    verify_signature,
)
from tests.keys.tokens import CLAIMS, b64, join, raw_jwk, raw_sign, raw_token

HEADER = {"typ": "secevent+jwt", "alg": "ES256", "kid": "k1"}
ALGORITHMS = sorted(DEFAULT_ALGORITHMS)


def public(private: Any, **members: Any) -> PublicKey:
    return PublicKey.from_jwk(raw_jwk(private.public_key(), **members))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in HEADER.items() if key != name}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_made_by_others_is_believed(private_keys: dict[str, Any], algorithm: str) -> None:
    private = private_keys[algorithm]
    token = read_token(raw_token(private, algorithm, harmless={"any": 1}))
    verified = verify_signature(token, public(private))
    assert verified.claims == CLAIMS
    assert verified.header == {**HEADER, "alg": algorithm, "harmless": {"any": 1}}


@pytest.mark.parametrize("typ", ["secevent+jwt", "SecEvent+JWT", "application/secevent+jwt"])
def test_the_type_may_be_written_in_full_and_in_any_case(
    private_keys: dict[str, Any], typ: str
) -> None:
    token = raw_token(private_keys["ES256"], "ES256", typ=typ).encode()
    assert verify_signature(read_token(token), public(private_keys["ES256"])).kid == "k1"


@pytest.mark.parametrize(
    "typ",
    [
        None,
        "",
        "JWT",
        "at+jwt",
        "application/jwt",
        "secevent",
        "x/secevent+jwt",
        1,
        ["secevent+jwt"],
    ],
)
def test_other_kinds_of_tokens_are_refused_by_their_type(typ: Any) -> None:
    header = without("typ") if typ is None else {**HEADER, "typ": typ}
    with pytest.raises(UnacceptableType) as caught:
        read_token(join(header, CLAIMS))
    assert caught.value.err == "invalid_request"


@pytest.mark.parametrize(
    "alg",
    [
        pytest.param(None, id="missing"),
        *("none", "None", "NONE", "nOnE", "", "HS256", "HS512", "es256", "ES384", "RSA-OAEP"),
        *(1, True, ["ES256"], {"alg": "ES256"}),
    ],
)
def test_algorithms_not_allowed_are_refused(alg: Any) -> None:
    header = without("alg") if alg is None else {**HEADER, "alg": alg}
    with pytest.raises(UnacceptableAlgorithm) as caught:
        read_token(join(header, CLAIMS))
    assert caught.value.err == "invalid_key"


def test_an_unsigned_token_is_refused_in_each_spelling() -> None:
    head, body = b64(json.dumps({**HEADER, "alg": "none"}).encode()), b64(b"{}")
    for token in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.AA"):
        with pytest.raises(TokenRejected):
            read_token(token)


@pytest.mark.parametrize(
    "names", [["none"], ["ES256", "none"], ["HS256"], ["HS512", "RS256"], [], "RS256", ["rs256"]]
)
def test_not_even_the_caller_can_allow_none_or_hmac(names: Any) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        read_token(join(HEADER, CLAIMS), algorithms=names)


def test_the_caller_can_narrow_the_algorithms(private_keys: dict[str, Any]) -> None:
    token = raw_token(private_keys["ES256"], "ES256")
    assert read_token(token, algorithms={"ES256"}).algorithm == "ES256"
    with pytest.raises(UnacceptableAlgorithm):
        read_token(token, algorithms=["RS256", "PS256"])


@pytest.mark.parametrize("algorithm", sorted(KEY_FITS.keys() - DEFAULT_ALGORITHMS))
def test_further_algorithms_verify_only_when_the_caller_allows_them(
    private_keys: dict[str, Any], algorithm: str
) -> None:
    private = {
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "ES512": ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": private_keys["EdDSA"],
    }.get(algorithm, private_keys["RS256"])
    token = raw_token(private, algorithm)
    with pytest.raises(UnacceptableAlgorithm):
        read_token(token)
    unverified = read_token(token, algorithms=[algorithm])
    assert verify_signature(unverified, public(private, alg=algorithm)).claims == CLAIMS


@pytest.mark.parametrize("form", ["pem", "der", "jwk", "modulus"])
def test_the_public_key_is_no_hmac_secret(private_keys: dict[str, Any], form: str) -> None:
    """The classic confusion: HS256 keyed with what everybody can download."""
    key = private_keys["RS256"].public_key()
    secret = {
        "pem": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(raw_jwk(key)).encode(),
        "modulus": raw_jwk(key)["n"].encode(),
    }[form]
    for alg in ("HS256", "RS256"):
        unsigned = join({**HEADER, "alg": alg}, CLAIMS).rpartition(".")[0]
        tag = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
        with pytest.raises(TokenRejected) as caught:
            verify_signature(read_token(f"{unsigned}.{b64(tag)}"), public(private_keys["RS256"]))
        assert caught.value.err == "invalid_key"


@pytest.mark.parametrize(
    "members",
    [
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": None},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": None},
    ],
)
def test_members_that_bring_a_key_or_change_the_reading_are_refused(
    members: dict[str, Any],
) -> None:
    with pytest.raises(UnacceptableHeader) as caught:
        read_token(join({**HEADER, **members}, CLAIMS))
    assert caught.value.err == "invalid_request"


def test_a_token_that_brings_its_own_key_is_refused_though_rightly_signed() -> None:
    attacker = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(UnacceptableHeader):
        read_token(raw_token(attacker, "ES256", jwk=raw_jwk(attacker.public_key())))


@pytest.mark.parametrize("kid", [None, "", "k" * 257, 1, ["k1"], {"kid": "k1"}])
def test_a_token_must_name_its_key(kid: Any) -> None:
    """Also when the issuer has one key only: joserfc would take that one."""
    header = without("kid") if kid is None else {**HEADER, "kid": kid}
    with pytest.raises(UnacceptableHeader):
        read_token(join(header, CLAIMS))
    assert read_token(join({**HEADER, "kid": "k" * 256}, CLAIMS)).kid == "k" * 256


HEAD, BODY, SIGNATURE = join(HEADER, CLAIMS).split(".")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        HEAD,
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}..{SIGNATURE}",
        f".{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE}.",
        f"{HEAD}.{BODY}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
        f"{HEAD}=.{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE}==",
        f"{HEAD}.{BODY}.{SIGNATURE}\n",
        f" {HEAD}.{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.ab+/",
        f"{HEAD}.{BODY}.AAAAA",
        f"{HEAD}.{BODY}.AB",
        f"{HEAD}.{BODY}.ä",
        f"{HEAD}.{BODY}.\udc80",
        json.dumps({"payload": BODY, "signatures": []}),
    ],
)
def test_what_is_not_three_parts_of_base64url_is_refused(token: str) -> None:
    with pytest.raises(MalformedToken):
        read_token(token)
    with pytest.raises(MalformedToken):
        read_token(token.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'"ES256"',
        b"null",
        b"{",
        b'{"typ":"secevent+jwt","alg":"ES256","kid":"k1","kid":"k2"}',
        b'{"typ":"secevent+jwt","alg":"none","alg":"ES256","kid":"k1"}',
        b'{"typ":"secevent+jwt","alg":"ES256","kid":"k1","n":NaN}',
        b'{"typ":"secevent+jwt","alg":"ES256","kid":"k\\u0000"}',
        b'{"typ":"secevent+jwt","alg":"ES256","kid":"\\ud800"}',
        b"\xef\xbb\xbf" + json.dumps(HEADER).encode(),
        json.dumps(HEADER).encode("utf-16"),
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_a_header_that_is_no_strict_json_object_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedToken):
        read_token(join(header, CLAIMS))


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'"text"',
        b"",
        b"\xff",
        b'{"jti":"1","jti":"2"}',
        b'{"events":{"a":{},"a":{}}}',
        b'{"iat":NaN}',
        b'{"iat":1e999}',
        b'{"jti":"\\u0000"}',
        b'{"jti":"\\ud800"}',
        b"[" * 20_000,
        b'{"a":' * 16_000 + b"{}" + b"}" * 16_000,
        b'{"a":[' + b"0," * 20_000 + b"0]}",
    ],
)
def test_a_rightly_signed_payload_that_is_no_strict_json_object_is_refused(
    private_keys: dict[str, Any], payload: bytes
) -> None:
    private = private_keys["ES256"]
    with pytest.raises(MalformedToken):
        verify_signature(read_token(raw_token(private, "ES256", payload=payload)), public(private))


def test_the_payload_is_not_read_before_the_signature_is_right() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    token = read_token(join(HEADER, b"[" * 20_000, bytes(64)))
    with pytest.raises(BadSignature):
        verify_signature(token, public(private))


def test_the_size_limit_holds_at_n_and_n_plus_one(private_keys: dict[str, Any]) -> None:
    token = raw_token(private_keys["EdDSA"], "EdDSA")
    assert read_token(token, max_bytes=len(token)).kid == "k1"
    with pytest.raises(MalformedToken, match="too long"):
        read_token(token, max_bytes=len(token) - 1)


@pytest.mark.parametrize(
    "token",
    [
        "." * 1_000_000,
        "A" * 20_000_000,
        ".".join([b64(b'{"a":"' + b"x" * 1_000_000 + b'"}'), BODY, SIGNATURE]),
    ],
    ids=["a million dots", "20 MB", "1 MB of header"],
)
def test_work_does_not_grow_with_what_strangers_send(token: str) -> None:
    started = time.perf_counter()
    with pytest.raises(MalformedToken):
        read_token(token)
    with pytest.raises(TokenRejected):
        read_token(token, max_bytes=2_000_000)
    assert time.perf_counter() - started < 1


def test_a_long_but_honest_header_is_accepted(private_keys: dict[str, Any]) -> None:
    """joserfc alone would refuse a header of more than 512 bytes."""
    private = private_keys["ES256"]
    token = raw_token(private, "ES256", note="x" * 4_000, payload={"pad": "y" * 90_000})
    assert verify_signature(read_token(token), public(private)).claims["pad"][0] == "y"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_changed_part_breaks_the_signature(
    private_keys: dict[str, Any], algorithm: str
) -> None:
    private = private_keys[algorithm]
    token = raw_token(private, algorithm)
    head, body, signature = token.split(".")
    other_head = b64(json.dumps({**HEADER, "alg": algorithm, "extra": 1}).encode())
    other_body = b64(json.dumps({**CLAIMS, "aud": "https://evil.example"}).encode())
    middle = len(signature) // 2
    other_signature = (
        signature[:middle] + ("A" if signature[middle] != "A" else "B") + signature[middle + 1 :]
    )
    for changed in (
        f"{other_head}.{body}.{signature}",
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.{other_signature}",
        f"{head}.{body}.{signature[:4]}",
        f"{head}.{body}.{signature}AAAA",
    ):
        with pytest.raises(BadSignature) as caught:
            verify_signature(read_token(changed), public(private))
        assert caught.value.err == "invalid_key"


def test_an_all_zero_ecdsa_signature_is_refused(private_keys: dict[str, Any]) -> None:
    for signature in (bytes(64), b"\xff" * 64, bytes(31) + b"\1" + bytes(32)):
        with pytest.raises(BadSignature):
            verify_signature(
                read_token(join(HEADER, CLAIMS, signature)), public(private_keys["ES256"])
            )


def test_a_der_encoded_ecdsa_signature_is_refused(private_keys: dict[str, Any]) -> None:
    from cryptography.hazmat.primitives import hashes

    unsigned = join(HEADER, CLAIMS).rpartition(".")[0]
    der = private_keys["ES256"].sign(unsigned.encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(BadSignature):
        verify_signature(read_token(f"{unsigned}.{b64(der)}"), public(private_keys["ES256"]))


def test_the_key_of_another_issuer_does_not_do(private_keys: dict[str, Any]) -> None:
    token = read_token(raw_token(private_keys["ES256"], "ES256"))
    with pytest.raises(BadSignature):
        verify_signature(token, public(ec.generate_private_key(ec.SECP256R1())))


def test_the_key_of_another_kid_does_not_do(private_keys: dict[str, Any]) -> None:
    token = read_token(raw_token(private_keys["ES256"], "ES256"))
    with pytest.raises(UnknownKey):
        verify_signature(token, public(private_keys["ES256"], kid="k2"))


@pytest.mark.parametrize("claimed", ALGORITHMS)
@pytest.mark.parametrize("held", ["RS256", "ES256", "EdDSA"])
def test_a_key_of_another_type_than_the_algorithm_is_refused(
    private_keys: dict[str, Any], claimed: str, held: str
) -> None:
    if private_keys[claimed] is private_keys[held]:
        return
    token = raw_token(private_keys[claimed], claimed)
    with pytest.raises(UnacceptableAlgorithm) as caught:
        verify_signature(read_token(token), public(private_keys[held]))
    assert caught.value.err == "invalid_key"


def test_the_algorithm_that_the_key_itself_names_is_the_only_one(
    private_keys: dict[str, Any],
) -> None:
    token = read_token(raw_token(private_keys["PS256"], "PS256"))
    assert verify_signature(token, public(private_keys["PS256"], alg="PS256")).kid == "k1"
    with pytest.raises(UnacceptableAlgorithm):
        verify_signature(token, public(private_keys["PS256"], alg="RS256"))


def test_an_ecdsa_token_of_another_curve_is_refused() -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    token = read_token(join(HEADER, CLAIMS))
    with pytest.raises(UnacceptableAlgorithm):
        verify_signature(token, public(private))


@pytest.mark.parametrize("kid", ["../../key", "'; DROP TABLE keys;--", "https://evil.example/k"])
def test_a_strange_kid_is_only_a_name(private_keys: dict[str, Any], kid: str) -> None:
    private = private_keys["ES256"]
    token = read_token(raw_token(private, "ES256", kid=kid))
    assert token.kid == kid
    with pytest.raises(UnknownKey):
        verify_signature(token, public(private))


def test_neither_refusals_nor_reprs_hold_the_token(private_keys: dict[str, Any]) -> None:
    private = private_keys["ES256"]
    token = raw_token(private, "ES256", payload={"jti": "very-secret"})
    unverified = read_token(token)
    verified = verify_signature(unverified, public(private))
    with pytest.raises(BadSignature) as caught:
        verify_signature(unverified, public(ec.generate_private_key(ec.SECP256R1())))
    shown = f"{unverified!r}{verified!r}{caught.value!r}{public(private)!r}"
    for part in (*token.split("."), "very-secret"):
        assert part not in shown


def test_the_type_is_that_of_rfc_8417() -> None:
    assert SET_TYPE == "secevent+jwt"
    assert "none" not in DEFAULT_ALGORITHMS
    assert {"RS256", "PS256", "ES256", "EdDSA"} == DEFAULT_ALGORITHMS


def test_a_forged_unverified_token_cannot_reach_an_algorithm_that_is_none_of_ours() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    for algorithm in ("none", "HS256"):
        token = UnverifiedToken(
            header={},
            kid="k1",
            algorithm=algorithm,
            signing_input=b"e30.e30",
            payload=b"{}",
            signature=b"",
        )
        with pytest.raises(UnacceptableAlgorithm):
            verify_signature(token, public(private))


@pytest.mark.parametrize("name", ["none", "HS256", "RS256"])
def test_even_joserfc_is_given_one_algorithm_only(name: str) -> None:
    assert registry_for("ES256").get_alg("ES256").name == "ES256"
    with pytest.raises(JoseError):
        registry_for("ES256").get_alg(name)


def test_the_header_given_back_is_the_one_that_was_signed(private_keys: dict[str, Any]) -> None:
    private = private_keys["EdDSA"]
    head = b'{ "kid":"k1",\n"alg":"EdDSA", "typ":"secevent+jwt" }'
    unsigned = f"{b64(head)}.{b64(b'{}')}"
    token = f"{unsigned}.{b64(raw_sign(private, 'EdDSA', unsigned.encode()))}"
    assert verify_signature(read_token(token), public(private)).header == json.loads(head)

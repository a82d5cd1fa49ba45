"""Signatures published in RFCs, made by others long before this code.

None of these tokens has the `typ` and `kid` of a SET, so `read_token` refuses them; the step
behind it is tried directly.
"""

import pytest

from keys.errors import BadSignature, MalformedToken, TokenRejected
from keys.public_key import PublicKey
from keys.verifier import UnverifiedToken, read_token, verify_signature
from tests.keys.tokens import unb64

# RFC 7515 Appendix A.2 and A.3 share this payload.
JOE = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
JOE_CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}

A2_TOKEN = (
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
    "p0igcN_IoypGlUPQGe77Rw"
)
A2_JWK = {
    "kty": "RSA",
    "kid": "rfc",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
    "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpa"
    "SHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT"
    "6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A3_TOKEN = (
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
    "pmWQxfKTUJqPP3-Kg6NU1Q"
)
A3_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "rfc",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
# RFC 8037 Appendix A.4; its payload is a sentence.
ED_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
ED_JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "rfc",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def taken_apart(token: str, algorithm: str) -> UnverifiedToken:
    head, body, signature = token.split(".")
    return UnverifiedToken(
        header={},
        kid="rfc",
        algorithm=algorithm,
        signing_input=f"{head}.{body}".encode(),
        payload=unb64(body),
        signature=signature.encode(),
    )


@pytest.mark.parametrize(
    ("token", "algorithm", "jwk"),
    [(A2_TOKEN, "RS256", A2_JWK), (A3_TOKEN, "ES256", A3_JWK)],
    ids=["RFC 7515 A.2", "RFC 7515 A.3"],
)
def test_the_examples_of_rfc_7515_verify(token: str, algorithm: str, jwk: dict[str, str]) -> None:
    key = PublicKey.from_jwk(jwk)
    assert verify_signature(taken_apart(token, algorithm), key).claims == JOE_CLAIMS
    with pytest.raises(BadSignature):
        verify_signature(taken_apart(token.replace("eyJpc3", "eyJpc2"), algorithm), key)


def test_the_signature_of_rfc_8037_is_right_and_its_payload_no_json() -> None:
    key = PublicKey.from_jwk(ED_JWK)
    with pytest.raises(MalformedToken, match="payload"):
        verify_signature(taken_apart(ED_TOKEN, "EdDSA"), key)
    with pytest.raises(BadSignature):
        verify_signature(taken_apart(ED_TOKEN.replace("RXhh", "RXhi"), "EdDSA"), key)


@pytest.mark.parametrize("token", [A2_TOKEN, A3_TOKEN, ED_TOKEN])
def test_none_of_them_is_a_security_event_token(token: str) -> None:
    with pytest.raises(TokenRejected):
        read_token(token)


def test_the_unsigned_example_of_rfc_8417_is_refused() -> None:
    """RFC 8417 §2.4 shows its SET with `{"typ":"secevent+jwt","alg":"none"}`."""
    with pytest.raises(TokenRejected):
        read_token("eyJ0eXAiOiJzZWNldmVudCtqd3QiLCJhbGciOiJub25lIn0.e30.")

"""Whatever strangers, and even a rightly signing issuer, send: an answer, and never a 5xx."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Handlers, ReceiverError, SetVerifier, push_endpoint
from tests.protocol.strategies import json_values
from tests.receiver.sets import (
    AUTHORIZATION,
    COMPLIANCE_CHANGE,
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    VERIFICATION,
    Draft,
    verifier_for,
)

HEADER_NAMES = [
    b"authorization", b"Authorization", b"content-type", b"content-encoding", b"content-length",
    b"transfer-encoding", b"accept", b"accept-language", b"expect", b"",
]  # fmt: skip
HEADER_VALUES = [
    b"application/secevent+jwt", AUTHORIZATION.encode(), b"identity", b"gzip", b"-1", b"9" * 5000,
    b"\xb2", b"",
]  # fmt: skip
headers = st.lists(
    st.tuples(
        st.sampled_from(HEADER_NAMES) | st.binary(max_size=10),
        st.sampled_from(HEADER_VALUES) | st.binary(max_size=30),
    ),
    max_size=8,
)
GOOD_HEADERS = [
    (b"content-type", b"application/secevent+jwt"),
    (b"authorization", AUTHORIZATION.encode()),
]
token_like = st.text("eyJhbGciOiJ0.-_=", max_size=80).map(str.encode)
bodies = st.lists(st.binary(max_size=60) | token_like, max_size=4)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


json_text = json_values.filter(_is_json)


def claims_with(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A good SET in which a few claims are anything."""
    names = st.sampled_from([*Draft().claims, "toe", "exp", "sub", "new"])
    uris = st.sampled_from(
        [SESSION_REVOKED, COMPLIANCE_CHANGE, CREDENTIAL_CHANGE, VERIFICATION, "x"]
    )
    events = st.dictionaries(uris, values, min_size=1, max_size=3)
    return st.builds(
        lambda changes, events: Draft().claims | changes | ({"events": events} if events else {}),
        st.dictionaries(names, values, max_size=3),
        st.none() | events,
    )


async def status_of(
    verifier: SetVerifier,
    method: str,
    given_headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
) -> int:
    app = push_endpoint(verifier, Handlers(), authorization=AUTHORIZATION)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": given_headers, "path": "/"}
    await app(scope, receive, send)
    assert len(sent) == 2
    for name, value in sent[0]["headers"]:
        assert name == name.lower()
        assert b"\n" not in value
    status: int = sent[0]["status"]
    return status


@pytest.fixture(scope="module")
def verifier(issuer_key) -> SetVerifier:
    return verifier_for(issuer_key)


@given(method=st.sampled_from(["POST", "GET", "\u00e9"]), given_headers=headers, pieces=bodies)
def test_any_request_is_answered_with_4xx(method, given_headers, pieces, verifier) -> None:
    assert 400 <= asyncio.run(status_of(verifier, method, given_headers, pieces)) < 500


@given(pieces=bodies)
def test_any_body_with_the_right_headers_is_answered_with_400(pieces, verifier) -> None:
    assert asyncio.run(status_of(verifier, "POST", GOOD_HEADERS, pieces)) == 400


@given(body=st.binary() | st.text(st.characters(exclude_categories=[])) | token_like)
def test_any_body_is_refused_with_an_error_of_ours(body, verifier) -> None:
    with pytest.raises(ReceiverError):
        asyncio.run(verifier.verify(body))


@given(header=st.dictionaries(st.sampled_from(["typ", "alg", "kid", "crit", "x"]), json_text))
def test_any_header_is_accepted_or_refused_with_400(header, issuer_key, verifier) -> None:
    body = Draft(header=Draft().header | header).compact(issuer_key).encode()
    status = asyncio.run(status_of(verifier, "POST", GOOD_HEADERS, [body]))
    assert status in (202, 400, 413)


@given(claims=claims_with(json_text))
def test_any_rightly_signed_claims_are_accepted_or_refused_with_400(
    claims, issuer_key, verifier
) -> None:
    body = Draft(claims=claims).compact(issuer_key).encode()
    status = asyncio.run(status_of(verifier, "POST", GOOD_HEADERS, [body]))
    assert status in (202, 400, 413)


@given(payload=st.binary(max_size=200))
def test_any_rightly_signed_bytes_are_refused_with_400(payload, issuer_key, verifier) -> None:
    body = Draft().compact_of(payload or b"0", issuer_key).encode()
    assert asyncio.run(status_of(verifier, "POST", GOOD_HEADERS, [body])) == 400

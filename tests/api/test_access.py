"""Who may do what: tokens, scopes, methods and paths (RFC 6750, RFC 9110, F-107, F-109)."""

import asyncio
from typing import Any

import httpx
import pytest

from ssf.api.operations import Operation, PublicOperation
from ssf.rules.access import ADMIN_SCOPES, RECEIVER_SCOPES
from ssf.store.database import Database
from tests.api.test_ssf_streams import everything
from tests.clients import (
    ADMIN_TOKEN,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    client_of,
    running_transmitter,
)
from tests.fakes import FakeClock

STREAMS = "/ssf/v1/streams"

PUBLIC = {
    ("GET", "/.well-known/ssf-configuration"),
    ("GET", "/.well-known/sse-configuration"),
    ("GET", "/.well-known/risc-configuration"),
    ("GET", "/jwks.json"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}


def guarded(transmitter: TransmitterUnderTest) -> list[Operation]:
    """Every operation that needs a token."""
    found = [one for one in transmitter.built.operations if isinstance(one, Operation)]
    assert len(found) >= 20, "the walk sees too little"
    return found


def filled(operation: Operation | PublicOperation) -> str:
    """The path of an operation, with something in the place of every name."""
    return operation.path.replace("{", "").replace("}", "")


async def call(
    http: httpx.AsyncClient, operation: Operation | PublicOperation, **more: Any
) -> httpx.Response:
    """Calls an operation with a body that would do for many of them."""
    body = None if operation.method in {"GET", "DELETE"} else {"stream_id": "x"}
    return await http.request(operation.method, filled(operation), json=body, **more)


# ---------------------------------------------------------------- every operation


async def test_the_public_operations_are_exactly_these(transmitter: TransmitterUnderTest):
    public = {
        (one.method, one.path)
        for one in transmitter.built.operations
        if isinstance(one, PublicOperation)
    }
    assert public == PUBLIC
    for operation in transmitter.built.operations:
        if isinstance(operation, PublicOperation):
            response = await call(transmitter.anonymous, operation)
            assert response.status_code not in {401, 403, 404}, operation.path


async def test_every_route_comes_from_the_table_of_operations(transmitter: TransmitterUnderTest):
    routed = {getattr(route, "path", None) for route in transmitter.built.app.routes}
    assert routed == {operation.path for operation in transmitter.built.operations}


async def test_every_other_operation_refuses_who_has_no_token(transmitter: TransmitterUnderTest):
    for operation in guarded(transmitter):
        response = await call(transmitter.anonymous, operation)
        assert response.status_code == 401, operation
        assert response.headers["www-authenticate"].startswith("Bearer"), operation
        assert "error=" not in response.headers["www-authenticate"], operation
        assert response.headers["content-type"] == "application/json", operation
        assert response.json()["err"], operation


async def test_every_other_operation_refuses_an_unknown_token(transmitter: TransmitterUnderTest):
    for operation in guarded(transmitter):
        for token in ("ssft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x", "eyJ.eyJ.sig"):
            headers = {"Authorization": f"Bearer {token}"}
            response = await call(transmitter.anonymous, operation, headers=headers)
            assert response.status_code == 401, operation
            challenge = response.headers["www-authenticate"]
            assert challenge.startswith("Bearer "), operation
            assert 'error="invalid_token"' in challenge, operation


async def test_every_other_operation_refuses_a_token_without_its_scopes(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    before = await everything(transmitter, receiver)
    refused = 0
    for operation in guarded(transmitter):
        for http, scopes in ((receiver.http, RECEIVER_SCOPES), (transmitter.http, ADMIN_SCOPES)):
            if scopes.intersection(operation.scopes):
                continue
            refused += 1
            response = await call(http, operation)
            assert response.status_code == 403, operation
            challenge = response.headers["www-authenticate"]
            assert challenge.startswith("Bearer "), operation
            assert 'error="insufficient_scope"' in challenge, operation
            assert any(f'scope="{scope}"' in challenge for scope in operation.scopes), operation
            assert response.json()["err"] == "insufficient_scope", operation
    assert refused == len(guarded(transmitter)), "a token opens what it should not"
    assert await everything(transmitter, receiver) == before


async def test_receiver_tokens_open_only_receiver_paths_and_admin_tokens_only_admin_paths(
    transmitter: TransmitterUnderTest,
):
    for operation in guarded(transmitter):
        is_admin = operation.path.startswith("/admin/")
        opens = ADMIN_SCOPES if is_admin else RECEIVER_SCOPES
        assert opens.issuperset(operation.scopes), operation


async def test_reading_takes_ssf_read_and_everything_takes_ssf_manage(
    transmitter: TransmitterUnderTest,
):
    for operation in guarded(transmitter):
        if operation.path.startswith("/admin/"):
            continue
        assert "ssf.manage" in operation.scopes, operation
        if operation.method == "GET":
            assert "ssf.read" in operation.scopes, operation


async def test_f109_every_name_in_a_path_answers_a_stranger_as_if_it_were_nobodys(
    transmitter: TransmitterUnderTest,
):
    owner, stranger = await transmitter.add_receiver(), await transmitter.add_receiver()
    created = await owner.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    before = await everything(transmitter, owner, stranger)
    named = [one for one in guarded(transmitter) if "{" in one.path]
    own_names = {"stream_id": created["stream_id"]}
    random_names = {"stream_id": "0123456789abcdef0123456789abcdef"}
    for operation in named:
        if operation.path.startswith("/admin/"):
            continue
        body = {"returnImmediately": True}
        answers = [
            await stranger.http.request(operation.method, operation.path.format(**names), json=body)
            for names in (own_names, random_names)
        ]
        assert [response.status_code for response in answers] == [404, 404], operation
        assert answers[0].content == answers[1].content, operation
        assert answers[0].headers.raw == answers[1].headers.raw, operation
    assert await everything(transmitter, owner, stranger) == before


# ---------------------------------------------------------------- the Authorization header


async def answer_to(
    transmitter: TransmitterUnderTest, *authorization: str | bytes
) -> httpx.Response:
    headers = [
        (b"Authorization", value if isinstance(value, bytes) else value.encode("ascii"))
        for value in authorization
    ]
    return await transmitter.anonymous.get(STREAMS, headers=headers)


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    return await transmitter.add_receiver()


async def test_the_scheme_is_case_insensitive(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        response = await answer_to(transmitter, f"{scheme} {receiver.access_token}")
        assert response.status_code == 200, scheme


async def test_another_scheme_is_not_authenticated(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    token = receiver.access_token
    for value in (f"Basic {token}", f"DPoP {token}", f"Token {token}", token, f"Bearer:{token}"):
        response = await answer_to(transmitter, value)
        assert response.status_code == 401, value
        assert response.headers["www-authenticate"].startswith("Bearer"), value


async def test_a_token_with_anything_added_is_not_valid(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    token = receiver.access_token
    for changed in (
        token[:-1],
        f"{token}x",
        f"{token}=",
        token.upper(),
        token.removeprefix("ssft_"),
        f"x{token}",
    ):
        response = await answer_to(transmitter, f"Bearer {changed}")
        assert response.status_code == 401, changed
        assert 'error="invalid_token"' in response.headers["www-authenticate"], changed


async def test_odd_bytes_in_the_header_are_refused_without_a_fault(
    transmitter: TransmitterUnderTest,
):
    for value in (b"Bearer \xff\xfe", b"Bearer \xc3\xa9", b"\x80", b"Bearer " + b"a" * 100_000):
        response = await answer_to(transmitter, value)
        assert response.status_code in {400, 401, 431}, value[:20]


async def test_malformed_bearer_credentials_are_an_invalid_request(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for value in ("Bearer a b", f"Bearer {receiver.access_token} x", 'Bearer "x"'):
        response = await answer_to(transmitter, value)
        assert response.status_code == 400, value
        assert 'error="invalid_request"' in response.headers["www-authenticate"], value


async def test_f107_two_authorization_headers_are_an_invalid_request(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    good = f"Bearer {receiver.access_token}"
    for values in ((good, good), (good, "Bearer x"), ("Basic x", good)):
        response = await answer_to(transmitter, *values)
        assert response.status_code == 400, values
        assert 'error="invalid_request"' in response.headers["www-authenticate"], values


async def test_f107_a_token_in_the_query_or_the_body_is_ignored(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    token = receiver.access_token
    anonymous = transmitter.anonymous
    queried = await anonymous.get(STREAMS, params={"access_token": token})
    assert queried.status_code == 401
    posted = await anonymous.post(STREAMS, json={"access_token": token})
    assert posted.status_code == 401
    form = await anonymous.post(STREAMS, data={"access_token": token})
    assert form.status_code == 401
    cookie = await anonymous.get(STREAMS, headers={"Cookie": f"access_token={token}"})
    assert cookie.status_code == 401
    both = await receiver.http.get(STREAMS, params={"access_token": "something else"})
    assert both.status_code == 200


async def test_a_bad_token_is_refused_before_the_body_is_read(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for method, path in (
        ("POST", STREAMS),
        ("PATCH", STREAMS),
        ("PUT", STREAMS),
        ("POST", "/ssf/v1/status"),
        ("POST", "/ssf/v1/verify"),
        ("POST", "/ssf/v1/poll/x"),
        ("POST", "/admin/v1/events"),
    ):
        response = await transmitter.anonymous.request(
            method,
            path,
            content=b"{" * 2_000_000,
            headers={"Authorization": "Bearer bad", "Content-Type": "application/json"},
        )
        assert response.status_code == 401, path
    assert await everything(transmitter, receiver) == before


async def test_f107_the_token_of_a_removed_receiver_is_not_valid_any_more(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    removed = await transmitter.http.delete(f"/admin/v1/receivers/{receiver.client_id}")
    assert removed.status_code == 204
    response = await receiver.http.get(STREAMS)
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    polled = await receiver.http.post(f"/ssf/v1/poll/{created['stream_id']}", json={})
    assert polled.status_code == 401
    assert (await transmitter.emit())["matched"] == 0
    assert {record["state"] for record in await transmitter.deliveries()} == {"dropped"}


async def test_a_receiver_that_is_removed_while_it_creates_streams_is_refused_in_order(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    async with asyncio.TaskGroup() as group:
        creating = [group.create_task(receiver.http.post(STREAMS, json={})) for _ in range(4)]
        removing = group.create_task(
            transmitter.http.delete(f"/admin/v1/receivers/{receiver.client_id}")
        )
        creating += [group.create_task(receiver.http.post(STREAMS, json={})) for _ in range(4)]
    assert removing.result().status_code == 204
    assert {task.result().status_code for task in creating} <= {201, 401, 404}
    streams = await transmitter.http.get("/admin/v1/streams")
    assert streams.json() == {"streams": []}


async def test_without_an_admin_token_nothing_opens_the_admin_api(
    database: Database, clock: FakeClock
):
    async with running_transmitter(database, clock, admin_token=None) as transmitter:
        for token in (ADMIN_TOKEN, "", "None", "null"):
            async with client_of(transmitter.built, token) as http:
                for operation in guarded(transmitter):
                    response = await call(http, operation)
                    assert response.status_code in {400, 401}, (token, operation)


async def test_another_admin_token_does_not_open_the_admin_api(
    transmitter: TransmitterUnderTest,
):
    for token in (ADMIN_TOKEN[:-1], f"{ADMIN_TOKEN}x", ADMIN_TOKEN.upper()):
        async with client_of(transmitter.built, token) as http:
            response = await http.get("/admin/v1/receivers")
        assert response.status_code == 401, token


async def test_tokens_and_secrets_are_shown_once(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for path in ("/admin/v1/receivers", f"/admin/v1/receivers/{receiver.client_id}"):
        response = await transmitter.http.get(path)
        assert response.status_code == 200
        assert receiver.access_token not in response.text
        assert "secret" not in response.text
        assert "ssft_" not in response.text
    assert receiver.access_token not in repr(transmitter.log.lines)


# ---------------------------------------------------------------- methods and paths


async def test_a_wrong_method_is_told_which_ones_there_are(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    by_path: dict[str, set[str]] = {}
    for operation in transmitter.built.operations:
        by_path.setdefault(filled(operation), set()).add(operation.method)
    for path, methods in by_path.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
            for http in (transmitter.anonymous, receiver.http):
                response = await http.request(method, path)
                assert response.status_code == 405, (method, path)
                allowed = {word.strip() for word in response.headers["allow"].split(",")}
                assert allowed - {"HEAD", "OPTIONS"} == methods, (method, path)
                assert response.headers["content-type"] == "application/json"
                assert response.json()["err"] == "method_not_allowed"


async def test_head_of_a_path_that_cannot_be_read_is_a_wrong_method(
    receiver: ReceiverUnderTest,
):
    response = await receiver.http.head("/ssf/v1/verify")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_head_needs_a_token_like_get(transmitter: TransmitterUnderTest):
    assert (await transmitter.anonymous.head(STREAMS)).status_code == 401


async def test_a_method_that_nobody_knows_is_not_allowed_and_does_not_hide_the_path(
    receiver: ReceiverUnderTest,
):
    for method in ("TRACE", "PROPFIND", "CONNECT", "BREW"):
        response = await receiver.http.request(method, STREAMS)
        assert response.status_code in {405, 501}, method
        assert response.headers["content-type"] == "application/json", method


async def test_an_unknown_path_is_not_found_in_json(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for http in (transmitter.anonymous, receiver.http, transmitter.http):
        for path in (
            "/",
            "/ssf",
            "/ssf/v1",
            "/ssf/v2/streams",
            "/ssf/v1/streams/x",
            "/SSF/v1/streams",
            "/ssf/v1/poll",
            "/admin",
            "/admin/v1/nothing",
            "/openapi.jsonx",
            "/%2e%2e/etc/passwd",
            "/ssf/v1/streams%00",
            "/ssf/v1/%73treamz",
        ):
            response = await http.get(path)
            assert response.status_code == 404, path
            assert response.headers["content-type"] == "application/json", path
            assert response.json()["err"] == "not_found", path


async def test_a_slash_too_many_is_not_found_and_no_redirect(receiver: ReceiverUnderTest):
    for method, path in (
        ("GET", "/ssf/v1/streams/"),
        ("POST", "/ssf/v1/streams/"),
        ("POST", "/ssf/v1/verify/"),
        ("GET", "/jwks.json/"),
        ("POST", "/ssf/v1/poll/x/"),
        ("POST", "/admin/v1/events/"),
    ):
        response = await receiver.http.request(method, path, headers={"Host": "evil.example"})
        assert "location" not in response.headers, "a redirect built from the Host header"
        assert response.status_code == 404, path
        assert response.json()["err"] == "not_found", path


async def test_every_answer_forbids_sniffing_and_caching_of_what_is_private(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for operation in guarded(transmitter):
        for http in (transmitter.anonymous, receiver.http, transmitter.http):
            response = await call(http, operation)
            assert response.headers["cache-control"] == "no-store", operation
            assert response.headers["x-content-type-options"] == "nosniff", operation

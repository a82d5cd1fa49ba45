"""The answers of the push endpoint, byte for byte, and what reaches the handlers."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from keys.errors import KeysUnavailable
from keys.remote_jwks import RemoteJwks
from receiver import (
    Handlers,
    MemoryReplayGuard,
    SetRejected,
    TryAgainLater,
    VerifiedSet,
    push_endpoint,
)
from receiver.push_endpoint import AsgiApp
from tests.receiver.sets import (
    AUTHORIZATION,
    EMAIL,
    VERIFICATION,
    Draft,
    client_of,
    verifier_for,
)

URL = "/events"


class Recorder:
    """Handlers that remember what they were given, and fail when told to."""

    def __init__(self) -> None:
        self.jtis: list[str] = []
        self.error: Exception | None = None
        self.handlers = Handlers()
        self.handlers.on_any(self.record)

    async def record(self, _event: Any, verified: VerifiedSet) -> None:
        self.jtis.append(verified.jti)
        if self.error is not None:
            raise self.error


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def app(recorder: Recorder, issuer_key) -> AsgiApp:
    return push_endpoint(verifier_for(issuer_key), recorder.handlers, authorization=AUTHORIZATION)


@pytest.fixture
def token(issuer_key) -> str:
    return Draft().compact(issuer_key)


def assert_empty(response: httpx.Response, status: int, **headers: str) -> None:
    expected = {name.replace("_", "-"): value for name, value in headers.items()}
    assert (response.status_code, response.content) == (status, b"")
    assert dict(response.headers) == {"content-length": "0", **expected}


def assert_refused(response: httpx.Response, err: str, description: str) -> None:
    assert response.status_code == 400
    assert response.json() == {"err": err, "description": description}
    assert list(response.json()) == ["err", "description"]
    assert dict(response.headers) == {
        "content-type": "application/json",
        "content-language": "en",
        "content-length": str(len(response.content)),
    }


# ------------------------------------------------------------------ accepted


async def test_a_good_set_is_handled_and_answered_with_an_empty_202(app, recorder, token) -> None:
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 202)
    assert recorder.jtis == ["jti-1"]


async def test_the_202_is_sent_after_the_handlers_returned(issuer_key, token) -> None:
    handlers, may_end, inside = Handlers(), asyncio.Event(), asyncio.Event()

    @handlers.on_any
    async def slow(_event: Any, _verified: VerifiedSet) -> None:
        inside.set()
        await may_end.wait()

    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=None)
    async with client_of(app) as client, asyncio.TaskGroup() as group:
        task = group.create_task(client.post(URL, content=token))
        await inside.wait()
        assert not task.done()
        may_end.set()
    assert task.result().status_code == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "application/secevent+jwt",
        "Application/SecEvent+JWT",
        "application/secevent+jwt; charset=utf-8",
        "application/secevent+jwt;charset=utf-8;x=y",
    ],
)
async def test_the_media_type_may_have_parameters_and_any_case(
    content_type: str, app, token
) -> None:
    async with client_of(app) as client:
        answer = await client.post(URL, content=token, headers={"Content-Type": content_type})
    assert_empty(answer, 202)


async def test_identity_is_no_content_encoding(app, token) -> None:
    async with client_of(app) as client:
        answer = await client.post(URL, content=token, headers={"Content-Encoding": "Identity"})
    assert_empty(answer, 202)


async def test_without_a_configured_authorization_the_header_does_not_matter(
    issuer_key, recorder, token
) -> None:
    app = push_endpoint(verifier_for(issuer_key), recorder.handlers, authorization=None)
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 202)
        del client.headers["Authorization"]
        assert_empty(await client.post(URL, content=token), 202)


async def test_an_unknown_event_type_is_acknowledged(issuer_key) -> None:
    draft = Draft().claiming(events={"https://events.example/made-up": {}})
    app = push_endpoint(verifier_for(issuer_key), Handlers(), authorization=None)
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=draft.compact(issuer_key)), 202)


# ------------------------------------------------------------------ repeats


async def test_a_repeat_is_answered_as_if_it_were_new_and_not_handled_again(
    app, recorder, token
) -> None:
    async with client_of(app) as client:
        for _ in range(3):
            assert_empty(await client.post(URL, content=token), 202)
    assert recorder.jtis == ["jti-1"]


async def test_a_repeat_with_other_bytes_is_known_by_its_jti(app, recorder, issuer_key) -> None:
    async with client_of(app) as client:
        for iat in (1, 2):
            body = Draft().claiming(iat=iat).compact(issuer_key)
            assert_empty(await client.post(URL, content=body), 202)
    assert recorder.jtis == ["jti-1"]


async def test_a_forged_repeat_is_refused_all_the_same(
    app, token, issuer_key, stranger_key
) -> None:
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 202)
        forged = await client.post(URL, content=Draft().compact(stranger_key))
    assert_refused(forged, "invalid_key", "The signature is not valid.")


async def test_two_at_once_are_handled_once_and_both_accepted(issuer_key, token) -> None:
    handlers, may_end, inside = Handlers(), asyncio.Event(), asyncio.Event()
    count = 0

    @handlers.on_any
    async def slow(_event: Any, _verified: VerifiedSet) -> None:
        nonlocal count
        count += 1
        inside.set()
        await may_end.wait()

    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=None)
    async with client_of(app) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.post(URL, content=token)) for _ in range(5)]
        await inside.wait()
        other = Draft().claiming(jti="jti-2").compact(issuer_key)
        tasks.append(group.create_task(client.post(URL, content=other)))
        may_end.set()
    for task in tasks:
        assert_empty(task.result(), 202)
    assert count == 2


async def test_a_repeat_of_what_is_being_handled_for_long_is_put_off(issuer_key, token) -> None:
    handlers, may_end, inside = Handlers(), asyncio.Event(), asyncio.Event()

    @handlers.on_any
    async def slow(_event: Any, _verified: VerifiedSet) -> None:
        inside.set()
        await may_end.wait()

    guard = MemoryReplayGuard(max_wait_seconds=0)
    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=None, replay_guard=guard)
    async with client_of(app) as client, asyncio.TaskGroup() as group:
        first = group.create_task(client.post(URL, content=token))
        await inside.wait()
        assert_empty(await client.post(URL, content=token), 503, retry_after="30")
        may_end.set()
    assert_empty(first.result(), 202)


# ------------------------------------------------------------------ handlers that fail


async def test_a_handler_that_raises_gives_a_bare_500_and_gets_the_repeat(
    app, recorder, token
) -> None:
    async with client_of(app) as client:
        recorder.error = ValueError(EMAIL)
        assert_empty(await client.post(URL, content=token), 500)
        assert_empty(await client.post(URL, content=token), 500)
        recorder.error = None
        assert_empty(await client.post(URL, content=token), 202)
        assert_empty(await client.post(URL, content=token), 202)
    assert recorder.jtis == ["jti-1"] * 3


async def test_the_log_says_where_a_handler_raised_but_not_with_which_words(
    app, recorder, token, caplog
) -> None:
    recorder.error = KeyError(EMAIL)
    async with client_of(app) as client:
        await client.post(URL, content=token)
    (record,) = (one for one in caplog.records if one.name.startswith("receiver"))
    assert record.action == "set_not_handled"
    assert "KeyError" in record.getMessage()
    assert "in record" in record.getMessage()
    assert EMAIL not in caplog.text


async def test_a_handler_may_refuse_a_set(app, recorder, token) -> None:
    recorder.error = SetRejected("access_denied", "This tenant was removed.")
    async with client_of(app) as client:
        answer = await client.post(URL, content=token)
        assert_refused(answer, "access_denied", "This tenant was removed.")
        recorder.error = None
        assert_empty(await client.post(URL, content=token), 202)


@pytest.mark.parametrize(("seconds", "header"), [(0, "1"), (1.2, "2"), (90, "90")])
async def test_a_handler_may_put_a_set_off(
    seconds: float, header: str, app, recorder, token
) -> None:
    recorder.error = TryAgainLater("the queue is full", retry_after_seconds=seconds)
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 503, retry_after=header)
        recorder.error = None
        assert_empty(await client.post(URL, content=token), 202)


async def test_a_wrong_state_is_refused_with_invalid_state(issuer_key) -> None:
    handlers = Handlers()
    handlers.on_verification(lambda event, _verified: event.state == "expected")
    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=None)
    draft = Draft().claiming(events={VERIFICATION: {"state": "other"}})
    async with client_of(app) as client:
        answer = await client.post(URL, content=draft.compact(issuer_key))
        assert_refused(answer, "invalid_state", "The state is not the one expected.")
        right = draft.claiming(events={VERIFICATION: {"state": "expected"}})
        assert_empty(await client.post(URL, content=right.compact(issuer_key)), 202)


# ------------------------------------------------------------------ refused SETs


async def test_a_bad_set_is_refused_with_code_and_description_in_english(app, issuer_key) -> None:
    body = Draft().claiming(aud="https://other.example").compact(issuer_key)
    async with client_of(app) as client:
        answer = await client.post(URL, content=body, headers={"Accept-Language": "fr, de;q=0.5"})
    assert_refused(answer, "invalid_audience", "The audience does not name this recipient.")


async def test_an_empty_body_is_no_set(app) -> None:
    async with client_of(app) as client:
        answer = await client.post(URL, content=b"")
    assert_refused(
        answer, "invalid_request", "The token does not have exactly three non-empty parts."
    )


async def test_a_refused_set_is_not_remembered(app, recorder, issuer_key, token) -> None:
    async with client_of(app) as client:
        bad = await client.post(URL, content=Draft().claiming(exp=1).compact(issuer_key))
        assert bad.status_code == 400
        assert_empty(await client.post(URL, content=token), 202)
    assert recorder.jtis == ["jti-1"]


async def test_keys_that_cannot_be_had_give_a_503_with_retry_after(
    issuer_key, recorder, token
) -> None:
    async def no_answer(_url: str) -> bytes:
        raise KeysUnavailable("The JWK Set cannot be fetched: status 503.")

    jwks = RemoteJwks("https://issuer.example/jwks", fetch=no_answer, monotonic=lambda: 0.0)
    app = push_endpoint(verifier_for(issuer_key, keys=jwks), recorder.handlers, authorization=None)
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 503, retry_after="30")
    assert recorder.jtis == []


async def test_keys_that_break_their_promise_give_a_bare_500(issuer_key, recorder, token) -> None:
    class Broken:
        async def find_key(self, kid: str) -> Any:
            raise LookupError(kid)

    app = push_endpoint(
        verifier_for(issuer_key, keys=Broken()), recorder.handlers, authorization=None
    )
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 500)


# ------------------------------------------------------------------ refused requests


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_is_allowed(method: str, app) -> None:
    async with client_of(app) as client:
        assert_empty(await client.request(method, URL), 405, allow="POST")


@pytest.mark.parametrize(
    "given",
    [
        "Bearer wrong",
        AUTHORIZATION.lower(),
        AUTHORIZATION[:-1],
        f"{AUTHORIZATION}x",
        AUTHORIZATION.removeprefix("Bearer "),
        "",
        "Bearer \u00e9",
    ],
)
async def test_a_wrong_authorization_is_answered_with_401(given: str, app, recorder, token) -> None:
    async with client_of(app) as client:
        answer = await client.post(
            URL, content=token, headers=[(b"Authorization", given.encode("latin-1"))]
        )
    assert_empty(answer, 401, www_authenticate="Bearer")
    assert recorder.jtis == []


async def test_a_missing_authorization_is_answered_with_401(app, token) -> None:
    async with client_of(app) as client:
        del client.headers["Authorization"]
        answer = await client.post(URL, content=token)
    assert_empty(answer, 401, www_authenticate="Bearer")


async def test_two_authorization_headers_are_answered_with_401(app, token) -> None:
    async with client_of(app) as client:
        headers = [("Authorization", AUTHORIZATION), ("Authorization", AUTHORIZATION)]
        del client.headers["Authorization"]
        answer = await client.post(URL, content=token, headers=headers)
    assert_empty(answer, 401, www_authenticate="Bearer")


@pytest.mark.parametrize(
    "authorization", ["", " ", "Bearer x ", " Bearer x", "Bearer \u00e9", "Bearer x\r\n"]
)
def test_an_authorization_that_no_header_can_be_is_refused_at_once(
    authorization: str, issuer_key
) -> None:
    with pytest.raises(ValueError, match="authorization"):
        push_endpoint(verifier_for(issuer_key), Handlers(), authorization=authorization)


@pytest.mark.parametrize(
    "content_type",
    ["application/jwt", "application/json", "text/plain", "", "application/secevent+jwtx", None],
)
async def test_another_media_type_is_answered_with_415(
    content_type: str | None, app, recorder, token
) -> None:
    async with client_of(app) as client:
        del client.headers["Content-Type"]
        headers = {} if content_type is None else {"Content-Type": content_type}
        assert_empty(await client.post(URL, content=token, headers=headers), 415)
    assert recorder.jtis == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "unheard-of"])
async def test_an_encoded_body_is_answered_with_415(encoding: str, app, token) -> None:
    async with client_of(app) as client:
        answer = await client.post(URL, content=token, headers={"Content-Encoding": encoding})
    assert_empty(answer, 415, accept_encoding="identity")


async def test_the_earlier_of_two_faults_of_a_request_is_answered(app) -> None:
    async with client_of(app) as client:
        client.headers.update({"Authorization": "wrong", "Content-Type": "text/plain"})
        assert (await client.get(URL)).status_code == 405
        assert (await client.post(URL, content=b"x" * 200_000)).status_code == 401
        client.headers["Authorization"] = AUTHORIZATION
        assert (await client.post(URL, content=b"x" * 200_000)).status_code == 415
        client.headers["Content-Type"] = "application/secevent+jwt"
        assert (await client.post(URL, content=b"x" * 200_000)).status_code == 413


# ------------------------------------------------------------------ the body, message by message


def scope_of(**headers: str) -> dict[str, Any]:
    given = {
        "content-type": "application/secevent+jwt",
        "authorization": AUTHORIZATION,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": URL,
        "headers": encoded,
    }


class Peer:
    """The other side of an ASGI application: sends these messages, then nothing any more."""

    def __init__(self, messages: Iterable[dict[str, Any]]) -> None:
        self._messages = iter(messages)
        self.received_count = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> Any:
        self.received_count += 1
        for message in self._messages:
            return message
        return await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        assert [message["type"] for message in self.sent] == [
            "http.response.start",
            "http.response.body",
        ]
        status: int = self.sent[0]["status"]
        return status


def chunk(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_pieces_is_put_together(app, recorder, token) -> None:
    pieces = [chunk(bytes([byte])) for byte in token.encode()]
    peer = Peer([*pieces, chunk(b"", more=False)])
    await app(scope_of(), peer.receive, peer.send)
    assert (peer.status, recorder.jtis) == (202, ["jti-1"])


async def test_reading_stops_as_soon_as_the_body_is_too_long(app) -> None:
    def endless() -> Iterable[dict[str, Any]]:
        while True:
            yield chunk(b"x" * 65_536)

    peer = Peer(endless())
    await app(scope_of(), peer.receive, peer.send)
    assert (peer.status, peer.received_count) == (413, 3)
    assert (b"connection", b"close") in peer.sent[0]["headers"]


@pytest.mark.parametrize("length", ["131073", "9" * 5000, "000131073"])
async def test_a_body_that_is_announced_too_long_is_not_read(length: str, app) -> None:
    peer = Peer([])
    await app(scope_of(content_length=length), peer.receive, peer.send)
    assert (peer.status, peer.received_count) == (413, 0)


@pytest.mark.parametrize("length", ["131072", "000131072", "0", "-1", "x", "\u00b2"])
async def test_a_body_that_is_not_announced_too_long_is_read(length: str, app) -> None:
    peer = Peer([chunk(b"", more=False)])
    await app(scope_of(content_length=length), peer.receive, peer.send)
    assert peer.status == 400


@pytest.mark.parametrize(("size", "status"), [(131_072, 400), (131_073, 413)])
async def test_the_body_may_have_128_kib_and_no_byte_more(size: int, status: int, app) -> None:
    async with client_of(app) as client:
        assert (await client.post(URL, content=b"x" * size)).status_code == status


async def test_a_body_that_does_not_arrive_in_time_is_answered_with_408(issuer_key) -> None:
    app = push_endpoint(verifier_for(issuer_key), Handlers(), authorization=None, body_seconds=0.01)
    peer = Peer([chunk(b"ey")])
    await app(scope_of(), peer.receive, peer.send)
    assert peer.status == 408
    assert (b"connection", b"close") in peer.sent[0]["headers"]


async def test_http_2_is_not_told_to_close_the_connection(app) -> None:
    peer = Peer([chunk(b"x" * 200_000)])
    await app(scope_of() | {"http_version": "2"}, peer.receive, peer.send)
    assert peer.sent[0]["headers"] == [(b"content-length", b"0")]


async def test_a_peer_that_leaves_before_its_body_is_complete_gets_no_answer(
    app, recorder, token
) -> None:
    peer = Peer([chunk(token.encode()), {"type": "http.disconnect"}])
    await app(scope_of(), peer.receive, peer.send)
    assert (peer.sent, recorder.jtis) == ([], [])


async def test_a_peer_that_leaves_before_the_answer_has_its_set_accepted(
    app, recorder, token
) -> None:
    async def broken(_message: Any) -> None:
        raise BrokenPipeError

    peer = Peer([chunk(token.encode(), more=False)])
    await app(scope_of(), peer.receive, broken)
    async with client_of(app) as client:
        assert_empty(await client.post(URL, content=token), 202)
    assert recorder.jtis == ["jti-1"]


async def test_a_request_that_is_cancelled_does_not_burn_the_jti(issuer_key, token) -> None:
    handlers, inside, handled = Handlers(), asyncio.Event(), []
    may_end = asyncio.Event()

    @handlers.on_any
    async def slow(_event: Any, verified: VerifiedSet) -> None:
        inside.set()
        await may_end.wait()
        handled.append(verified.jti)

    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=None)
    async with client_of(app) as client, asyncio.TaskGroup() as group:
        task = group.create_task(client.post(URL, content=token))
        await inside.wait()
        task.cancel()
        may_end.set()
        assert_empty(await client.post(URL, content=token), 202)
    assert handled == ["jti-1"]


async def test_the_lifespan_of_a_server_is_answered(app) -> None:
    peer = Peer([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    await app({"type": "lifespan"}, peer.receive, peer.send)
    assert peer.sent == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]


async def test_a_websocket_is_turned_away(app) -> None:
    peer = Peer([{"type": "websocket.connect"}])
    await app({"type": "websocket", "headers": []}, peer.receive, peer.send)
    assert peer.sent == [{"type": "websocket.close"}]


# ------------------------------------------------------------------ logs


async def test_no_log_line_holds_token_subject_or_authorization(
    app, recorder, issuer_key, stranger_key, caplog
) -> None:
    caplog.set_level(logging.DEBUG, logger="receiver")
    bodies = [
        Draft().compact(issuer_key),
        Draft().compact(issuer_key),
        Draft().compact(stranger_key),
        Draft().claiming(sub_id={"format": "email", "email": [EMAIL]}).compact(issuer_key),
        Draft().claiming(jti="jti-2", events={"https://x.example/": {}}).compact(issuer_key),
        f"{EMAIL}.{EMAIL}.{EMAIL}",
    ]
    async with client_of(app) as client:
        for body in bodies:
            await client.post(URL, content=body)
        await client.post(URL, content=bodies[0], headers={"Authorization": "Bearer s3cret"})
        await client.get(URL)
        recorder.error = ValueError(EMAIL)
        await client.post(URL, content=Draft().claiming(jti="jti-3").compact(issuer_key))
    records = [record for record in caplog.records if record.name.startswith("receiver")]
    assert [record.action for record in records] == [
        "set_accepted",
        "set_repeated",
        "set_refused",
        "set_refused",
        "set_accepted",
        "set_refused",
        "push_request_refused",
        "push_request_refused",
        "set_not_handled",
    ]
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    secrets = [EMAIL, "s3cret", AUTHORIZATION.removeprefix("Bearer ")]
    for secret in secrets + [part for body in bodies[:5] for part in body.split(".")]:
        assert secret not in logged

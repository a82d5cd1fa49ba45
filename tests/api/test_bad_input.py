"""Bodies that no honest client sends: refused everywhere, and nothing is changed (F-21, F-84, F-85)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typing_extensions import override

from ssf.store.database import Database
from tests.api.test_ssf_streams import everything
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    ISSUER,
    POLL,
    PUSH,
    SESSION_REVOKED,
    SUBJECT,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock

STREAMS = "/ssf/v1/streams"
STREAM_ID = "{stream_id}"
EVENTS = "/admin/v1/events"
JSON = {"Content-Type": "application/json"}

ROUTES = [
    ("POST", STREAMS),
    ("PATCH", STREAMS),
    ("PUT", STREAMS),
    ("POST", "/ssf/v1/status"),
    ("POST", "/ssf/v1/subjects:add"),
    ("POST", "/ssf/v1/subjects:remove"),
    ("POST", "/ssf/v1/verify"),
    ("POST", f"/ssf/v1/poll/{STREAM_ID}"),
    ("POST", "/sse/v1/stream"),
    ("POST", "/sse/v1/subjects:add"),
    ("POST", "/sse/v1/subjects:remove"),
    ("POST", "/sse/v1/status"),
    ("POST", "/sse/v1/verify"),
    ("POST", "/sse/v1/poll"),
    ("POST", EVENTS),
    ("POST", "/admin/v1/receivers"),
    ("PATCH", f"/admin/v1/streams/{STREAM_ID}"),
    ("POST", f"/admin/v1/streams/{STREAM_ID}/status"),
    ("PATCH", "/admin/v1/receivers/{client_id}"),
    ("POST", "/admin/v1/event-types"),
]
BODY_MAY_BE_MISSING = {("POST", STREAMS), ("POST", "/sse/v1/verify")}


class RestlessClock(FakeClock):
    """Time flies for whoever waits, so that no poll is held open."""

    @override
    def monotonic(self) -> float:
        self._monotonic += 3600
        return super().monotonic()


@pytest.fixture
def clock() -> FakeClock:
    return RestlessClock()


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver with a push and a poll stream, both with a history."""
    return await with_a_history(transmitter)


async def with_a_history(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    receiver = await transmitter.add_receiver(max_streams=5)
    await receiver.create_stream(events_requested=[SESSION_REVOKED], description="polled")
    await receiver.create_push_stream(
        "https://receiver.example.com/events", authorization_header="Bearer s3cret"
    )
    await transmitter.emit()
    return receiver


async def polled_stream_id(receiver: ReceiverUnderTest) -> str:
    found: str = (await receiver.http.get(STREAMS)).json()[0]["stream_id"]
    return found


async def send(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    route: tuple[str, str],
    **request: Any,
) -> httpx.Response:
    """Sends a request with the token that the route takes."""
    method, path = route
    http = transmitter.http if path.startswith("/admin/") else receiver.http
    if STREAM_ID in path:
        path = path.replace(STREAM_ID, await polled_stream_id(receiver))
    return await http.request(method, path.replace("{client_id}", receiver.client_id), **request)


# ---------------------------------------------------------------- not JSON as we understand it

DEEP = 1000
NOT_ONE_JSON_OBJECT: dict[str, bytes] = {
    "white space": b" \r\n\t",
    "array": b"[]",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"x"',
    "unfinished": b"{",
    "unfinished string": b'{"a',
    "two objects": b"{}{}",
    "trailing garbage": b"{} x",
    "trailing NUL": b"{}\x00",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "comment": b'{"a":1}//',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "not UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\x80"}',
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate in a name": b'{"\\udc00":1}',
    "NUL escaped": b'{"a":"\\u0000"}',
    "NUL escaped in a name": b'{"a\\u0000":1}',
    "NUL raw": b'{"a":"\x00"}',
    "line break in a string": b'{"a":"\n"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "1e999": b'{"a":1e999}',
    "-1e999": b'{"a":[-1e999]}',
    "leading zero": b'{"a":01}',
    "hexadecimal": b'{"a":0x1}',
    "plus sign": b'{"a":+1}',
    "5 000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "duplicate key": b'{"stream_id":"a","stream_id":"a"}',
    "duplicate key, escaped": b'{"stream_id":"a","stream\\u005fid":"b"}',
    "duplicate key inside": b'{"delivery":{"method":"a","method":"b"}}',
    "duplicate key deep inside": b'{"a":[{"b":{"c":1,"c":2}}]}',
    "depth of arrays": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "depth of objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "depth without end": b"[" * 60_000,
    "depth without end, objects": b'{"":' * 15_000,
}


async def test_the_list_of_routes_that_take_a_body_is_complete(transmitter: TransmitterUnderTest):
    taking = {
        (operation.method, operation.path)
        for operation in transmitter.built.operations
        if operation.method in {"POST", "PUT", "PATCH"}
    }
    assert taking == {*ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_f85_a_body_that_is_not_one_json_object_is_refused_and_nothing_is_stored(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, route: tuple[str, str]
):
    before = await everything(transmitter, receiver)
    for name, content in NOT_ONE_JSON_OBJECT.items():
        response = await send(transmitter, receiver, route, content=content, headers=JSON)
        assert response.status_code == 400, (name, response.text)
        assert response.headers["content-type"] == "application/json", name
        assert response.json()["err"], name
        assert response.json()["description"], name
        assert "Traceback" not in response.text, name
    if route not in BODY_MAY_BE_MISSING:
        assert (await send(transmitter, receiver, route, headers=JSON)).status_code == 400
    assert await everything(transmitter, receiver) == before
    assert not [action for action, _ in transmitter.log.lines if action == "request.failed"]


async def test_f85_more_members_than_any_body_needs_are_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    many = b'{"a":[' + b"1," * 200_000 + b"1]}"
    named = b"{" + b",".join(b'"%d":1' % count for count in range(90_000)) + b"}"
    for route in ROUTES:
        for content in (many, named):
            response = await send(transmitter, receiver, route, content=content, headers=JSON)
            assert response.status_code in {400, 413}, route
    assert await everything(transmitter, receiver) == before


async def test_f85_depth_and_size_within_bounds_pass(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    deep = b'{"unknown":' + b"[" * 20 + b"]" * 20 + b"}"
    route = ("POST", STREAMS)
    response = await send(transmitter, receiver, route, content=deep, headers=JSON)
    assert response.status_code == 201


# ---------------------------------------------------------------- size, type, encoding


def padded(body: dict[str, Any], size_bytes: int) -> bytes:
    content = json.dumps(body).encode()
    return content + b" " * (size_bytes - len(content))


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


async def test_f84_one_mebibyte_passes_and_one_byte_more_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    stream_id = await polled_stream_id(receiver)
    body = {"stream_id": stream_id, "status": "enabled", "returnImmediately": True}
    for method, path, accepted in (
        ("PATCH", STREAMS, 200),
        ("PUT", STREAMS, 200),
        ("POST", "/ssf/v1/status", 200),
        ("POST", "/ssf/v1/verify", 204),
        ("POST", f"/ssf/v1/poll/{stream_id}", 200),
        ("POST", STREAMS, 201),
    ):
        before = await everything(transmitter, receiver)
        for content in (padded(body, 1_048_577), padded(body, 3_000_000)):
            for sent in (content, in_chunks(content)):
                response = await receiver.http.request(method, path, content=sent, headers=JSON)
                assert response.status_code == 413, path
                assert response.json()["err"] == "too_large", path
        assert await everything(transmitter, receiver) == before
        whole = padded(body, 1_048_576)
        response = await receiver.http.request(method, path, content=whole, headers=JSON)
        assert response.status_code == accepted, (path, response.text)


async def test_f84_an_event_may_have_65536_bytes_and_not_one_more(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    body = {"event_type": "session-revoked", "subject": SUBJECT}
    before = await everything(transmitter, receiver)
    for content in (padded(body, 65_537), padded(body, 2_000_000)):
        for sent in (content, in_chunks(content)):
            response = await transmitter.http.post(EVENTS, content=sent, headers=JSON)
            assert response.status_code == 413
    assert await everything(transmitter, receiver) == before
    whole = padded(body, 65_536)
    response = await transmitter.http.post(EVENTS, content=whole, headers=JSON)
    assert response.status_code == 202


async def test_f84_a_content_length_that_lies_is_not_believed(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for route in ROUTES:
        huge = [(b"Content-Type", b"application/json"), (b"Content-Length", b"1000000000000")]
        response = await send(transmitter, receiver, route, content=b"{}", headers=huge)
        assert response.status_code == 413, route
        tiny = [(b"Content-Type", b"application/json"), (b"Content-Length", b"2")]
        content = b"{" + b" " * 2_000_000 + b"}"
        response = await send(transmitter, receiver, route, content=content, headers=tiny)
        assert response.status_code == 413, route
    assert await everything(transmitter, receiver) == before


async def test_f84_a_content_length_that_is_no_number_is_no_fault_of_ours(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    for value in (b"\xb2", b"9" * 5000, b"-1", b"x", b""):
        headers = [(b"Content-Type", b"application/json"), (b"Content-Length", value)]
        response = await receiver.http.patch(STREAMS, content=b"{}", headers=headers)
        assert response.status_code < 500, value[:10]


async def test_a_body_that_does_not_call_itself_json_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    content = json.dumps({"stream_id": await polled_stream_id(receiver), "description": "x"})
    for route in ROUTES:
        for content_type in (
            None,
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "application/json-patch+json",
            "application/merge-patch+json",
            "json",
            "*/*",
        ):
            headers = {} if content_type is None else {"Content-Type": content_type}
            response = await send(transmitter, receiver, route, content=content, headers=headers)
            assert response.status_code in {400, 415}, (route, content_type)
    assert await everything(transmitter, receiver) == before


async def test_a_content_type_may_have_parameters_and_any_case(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    stream_id = await polled_stream_id(receiver)
    for content_type in (
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "APPLICATION/JSON",
        " application/json ",
    ):
        response = await receiver.http.patch(
            STREAMS,
            content=json.dumps({"stream_id": stream_id}),
            headers={"Content-Type": content_type},
        )
        assert response.status_code == 200, content_type


async def test_a_compressed_body_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for route in ROUTES:
        for encoding in ("gzip", "GZIP", "deflate", "br", "identity, gzip", "gzip, identity", "x"):
            headers = {**JSON, "Content-Encoding": encoding}
            response = await send(transmitter, receiver, route, content=b"{}", headers=headers)
            assert response.status_code in {400, 415}, (route, encoding)
    assert await everything(transmitter, receiver) == before
    body = {"stream_id": await polled_stream_id(receiver)}
    identity = await receiver.http.patch(
        STREAMS, json=body, headers={"Content-Encoding": "identity"}
    )
    assert identity.status_code == 200


# ---------------------------------------------------------------- receivers, added by operators


async def test_f87_a_receiver_with_a_bad_property_is_refused_by_name_and_not_added(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    sound = {"name": "sound", "audience": AUDIENCE}
    cases: list[tuple[str, Any]] = [
        ("name", ""),
        ("name", "x" * 256),
        ("name", 5),
        ("name", None),
        *(("name", f"a{bad}b") for bad in ("\r\n", "\x1b[31m", "\x7f", "\u0085", "\u202e")),
        ("audience", ""),
        ("audience", []),
        ("audience", ["ok", ""]),
        ("audience", ["ok", 5]),
        ("audience", None),
        ("audience", "a\nb"),
        ("events_supported", []),
        ("events_supported", "session-revoked"),
        ("events_supported", ["no-such-type"]),
        ("events_supported", ["verification"]),
        ("events_supported", ["token-revoked"]),
        ("min_verification_interval", -1),
        ("min_verification_interval", 1.5),
        ("min_verification_interval", "60"),
        ("min_verification_interval", True),
        ("min_verification_interval", 10**12),
        ("max_streams", 0),
        ("max_streams", "1"),
        ("max_streams", 10**12),
        ("default_subjects", "SOME"),
        ("client_id", "chosen"),
        ("client_secret", "chosen"),
        ("project_id", 1),
        ("extra", 1),
    ]
    for name, value in cases:
        response = await transmitter.http.post("/admin/v1/receivers", json={**sound, name: value})
        assert response.status_code == 400, (name, value)
    for missing in sound:
        body = {name: value for name, value in sound.items() if name != missing}
        response = await transmitter.http.post("/admin/v1/receivers", json=body)
        assert response.status_code == 400, missing
        assert response.json()["field"] == missing
    assert await everything(transmitter, receiver) == before


async def test_a_receiver_of_a_taken_name_is_a_conflict(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    taken = {"name": "receiver 1", "audience": AUDIENCE}
    response = await transmitter.http.post("/admin/v1/receivers", json=taken)
    assert response.status_code == 409
    assert await everything(transmitter, receiver) == before


async def test_a_receiver_that_is_not_there_is_not_found(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for method in ("GET", "DELETE"):
        unknown = await transmitter.http.request(method, "/admin/v1/receivers/rcv_nobody")
        assert unknown.status_code == 404, method
        nul = await transmitter.http.request(method, "/admin/v1/receivers/a%00b")
        assert nul.status_code in {400, 404}, method
    assert await everything(transmitter, receiver) == before


# ---------------------------------------------------------------- whatever JSON there is

NAMES = [
    "stream_id",
    "events_requested",
    "events_delivered",
    "delivery",
    "description",
    "format",
    "iss",
    "aud",
    "min_verification_interval",
    "method",
    "endpoint_url",
    "authorization_header",
    "status",
    "reason",
    "state",
    "ack",
    "acks",
    "setErrs",
    "maxEvents",
    "returnImmediately",
    "err",
    "event_type",
    "subject",
    "payload",
    "txn",
    "occurred_at",
    "audience",
    "events",
    "sub_id",
    "toe",
    "name",
    "events_supported",
    "max_streams",
    "uri",
    "schema",
    "properties",
    "email",
    "id",
    SESSION_REVOKED,
]
VALUES: list[Any] = [
    "STREAM",
    PUSH,
    POLL,
    SESSION_REVOKED,
    CREDENTIAL_CHANGE,
    VERIFICATION,
    "session-revoked",
    AUDIENCE,
    ISSUER,
    SUBJECT,
    {"format": "opaque", "id": "x"},
    "https://receiver.example.com/events",
    "http://169.254.169.254/",
    "Bearer s3cret",
    "enabled",
    "paused",
    "disabled",
    {},
    [],
    "",
    None,
    "\ud800",
    "\x00",
    2**64,
    -1,
    1e308,
]
SCALARS = (
    st.sampled_from(VALUES) | st.text(max_size=20) | st.integers() | st.floats() | st.booleans()
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=6) | JSON_VALUES
NEARLY_SOUND: dict[str, Any] = {
    "stream_id": "STREAM",
    "status": "paused",
    "event_type": "session-revoked",
    "subject": SUBJECT,
    "name": "a name",
    "audience": AUDIENCE,
    "delivery": {"method": PUSH, "endpoint_url": "https://receiver.example.com/events"},
    "events_requested": [SESSION_REVOKED],
}
CHANGED_BODIES = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=2).map(
    lambda changed: {**NEARLY_SOUND, **changed}
)


@dataclass(kw_only=True)
class Fuzzed:
    """A transmitter that gets many bodies, and what could be seen of it before the next one."""

    transmitter: TransmitterUnderTest
    receiver: ReceiverUnderTest
    seen: Any

    async def look(self) -> Any:
        return await everything(self.transmitter, self.receiver)

    async def require_sound_answer(self, route: tuple[str, str], content: bytes) -> None:
        response = await send(self.transmitter, self.receiver, route, content=content, headers=JSON)
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/json"
            assert {"err", "description"} <= response.json().keys()
            assert await self.look() == self.seen
        else:
            assert not response.content or response.json() is not None
            self.seen = await self.look()


@pytest.fixture
async def fuzzed(tmp_path: Path, sqlite_template: bytes, clock: FakeClock) -> AsyncIterator[Fuzzed]:
    """On SQLite alone; both databases are given the same bodies by the tests above."""
    path = tmp_path / "fuzzed.db"
    path.write_bytes(sqlite_template)
    database = Database(f"sqlite:///{path}")
    async with running_transmitter(database, clock) as transmitter:
        receiver = await with_a_history(transmitter)
        seen = await everything(transmitter, receiver)
        yield Fuzzed(transmitter=transmitter, receiver=receiver, seen=seen)
    await database.close()


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@given(body=BODIES | CHANGED_BODIES)
@example(body=NEARLY_SOUND)
@example(body={})
async def test_no_json_makes_a_fault_and_what_is_refused_changes_nothing(
    fuzzed: Fuzzed, route: tuple[str, str], body: Any
):
    streams = (await fuzzed.receiver.http.get(STREAMS)).json()
    stream_id = streams[0]["stream_id"] if streams else "none"
    content = json.dumps(body).replace("STREAM", stream_id).encode()
    await fuzzed.require_sound_answer(route, content)


ALMOST_JSON = st.text(alphabet='{}[]":,0eE-.\\untrfals \ufeff').map(str.encode)


@given(route=st.sampled_from(ROUTES), content=st.binary(max_size=60) | ALMOST_JSON)
async def test_no_bytes_make_a_fault_and_what_is_refused_changes_nothing(
    fuzzed: Fuzzed, route: tuple[str, str], content: bytes
):
    await fuzzed.require_sound_answer(route, content)

"""One push as the receiver sees it, and what each of its answers does to the delivery."""

import base64
import email.utils
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from keys.public_key import PublicKey
from keys.verifier import read_token, verify_signature
from ssf.clock import MICROSECONDS
from ssf.delivery.push import parse_retry_after
from ssf.rules.retry import WAITS_SECONDS
from ssf.store.database import Database
from ssf.store.schema import deliveries, events, lanes, targets
from tests import evil_receiver as evil
from tests.clients import (
    AUDIENCE,
    ISSUER,
    SESSION_REVOKED,
    SUBJECT,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.evil_receiver import EvilReceiver
from tests.fakes import Answer, FakeClock, Pushed, RecordingReceiver

HOUR = 3_600
DAY = 24 * HOUR


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def header_of(token: str) -> dict[str, Any]:
    part = token.split(".", maxsplit=1)[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return header


async def push_once(
    transmitter: TransmitterUnderTest, receiver: RecordingReceiver, **event: Any
) -> dict[str, Any]:
    """Emits one event to a new stream, lets the worker go round, and returns the delivery."""
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    emitted = await transmitter.emit(**event)
    await transmitter.built.worker.run_once()
    [delivery] = await transmitter.deliveries(event_id=emitted["event_id"])
    return delivery


def waits_for(delivery: Mapping[str, Any], clock: FakeClock) -> float:
    """Seconds until the next attempt."""
    seconds: float = (delivery["next_attempt_at"] - clock.now()) / MICROSECONDS
    return seconds


# ---------------------------------------------------------------- the request


async def test_f_41_a_push_is_one_post_with_exactly_these_headers(
    transmitter: TransmitterUnderTest,
) -> None:
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        await transmitter.deliver()
        [request] = receiver.requests

    assert request.raw.startswith(b"POST /events HTTP/1.1\r\n")
    assert request.headers["content-type"] == "application/secevent+jwt"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-length"] == str(len(request.body))
    names = [name.lower() for name in request.header_names]
    assert sorted(names) == sorted(set(names))
    assert {*names} <= {
        "host",
        "content-type",
        "accept",
        "accept-encoding",
        "content-length",
        "user-agent",
    }


async def test_the_body_is_one_compact_jwt_and_nothing_else(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    await push_once(transmitter, push_receiver)
    [pushed] = push_receiver.pushed
    assert pushed.body.count(".") == 2
    assert pushed.body == pushed.body.strip()
    assert all(part and part.strip("=") == part for part in pushed.body.split("."))


@pytest.mark.parametrize(
    "value", ["Bearer abc.DEF-123~+/=", "Basic dXNlcjpwYXNz", "ApiKey  two spaces, and = signs;"]
)
async def test_the_authorization_header_is_sent_verbatim(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, value: str
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url, authorization_header=value)
    await transmitter.emit()
    await transmitter.deliver()
    assert push_receiver.pushed[0].headers["authorization"] == value


async def test_without_an_authorization_header_none_is_sent(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    await push_once(transmitter, push_receiver)
    assert "authorization" not in push_receiver.pushed[0].headers


async def test_each_stream_is_sent_its_own_authorization_header(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    owner = await transmitter.add_receiver()
    for word in ("one", "two"):
        await owner.create_push_stream(
            f"{push_receiver.origin}/{word}", authorization_header=f"Bearer {word}"
        )
    await owner.create_push_stream(f"{push_receiver.origin}/none")
    await transmitter.emit()
    await transmitter.deliver()
    assert {p.path: p.headers.get("authorization") for p in push_receiver.pushed} == {
        "/one": "Bearer one",
        "/two": "Bearer two",
        "/none": None,
    }


async def test_a_changed_authorization_header_and_url_are_used_by_the_next_attempt(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda pushed: Answer(status=500 if pushed.path == "/old" else 202)
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(
        f"{push_receiver.origin}/old", authorization_header="Bearer old"
    )
    await transmitter.emit()
    await transmitter.deliver()
    changed = await owner.http.patch(
        "/ssf/v1/streams",
        json={
            "stream_id": stream["stream_id"],
            "delivery": {
                "method": "urn:ietf:rfc:8935",
                "endpoint_url": f"{push_receiver.origin}/new",
                "authorization_header": "Bearer new",
            },
        },
    )
    assert changed.status_code == 200, changed.text
    clock.advance(60)
    await transmitter.deliver()
    first, second = push_receiver.pushed
    assert (first.path, first.headers["authorization"]) == ("/old", "Bearer old")
    assert (second.path, second.headers["authorization"]) == ("/new", "Bearer new")
    assert claims_of(first.body) == claims_of(second.body)


# ---------------------------------------------------------------- the token


async def test_the_claims_are_these_and_no_others(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    delivery = await push_once(
        transmitter,
        push_receiver,
        payload={"initiating_entity": "policy"},
        txn="8675309",
        occurred_at=1_799_999_000,
    )
    assert claims_of(push_receiver.pushed[0].body) == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": clock.now() // MICROSECONDS,
        "jti": delivery["jti"],
        "txn": "8675309",
        "toe": 1_799_999_000,
        "sub_id": SUBJECT,
        "events": {SESSION_REVOKED: {"initiating_entity": "policy"}},
    }


async def test_what_the_producer_did_not_say_is_left_out_but_for_the_txn(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    delivery = await push_once(transmitter, push_receiver)
    claims = claims_of(push_receiver.pushed[0].body)
    assert {*claims} == {"iss", "aud", "iat", "jti", "txn", "sub_id", "events"}
    assert claims["txn"] == delivery["event_id"]
    assert claims["events"] == {SESSION_REVOKED: {}}


@pytest.mark.parametrize(
    ("audience", "aud"),
    [
        ("https://one.example.com", "https://one.example.com"),
        (["https://one.example.com"], "https://one.example.com"),
        (["https://b.example.com", "a"], ["https://b.example.com", "a"]),
    ],
)
async def test_one_audience_is_a_string_and_several_are_an_array(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, audience: Any, aud: Any
) -> None:
    owner = await transmitter.add_receiver(audience=audience)
    await owner.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    assert claims_of(push_receiver.pushed[0].body)["aud"] == aud


async def test_the_token_is_signed_with_a_key_that_is_published(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    await push_once(transmitter, push_receiver)
    token = push_receiver.pushed[0].body
    published = (await transmitter.anonymous.get("/jwks.json")).json()["keys"]
    header = header_of(token)
    [jwk] = [one for one in published if one["kid"] == header["kid"]]

    unverified = read_token(token, algorithms=["ES256"])
    verified = verify_signature(unverified, PublicKey.from_jwk(jwk))

    assert header == {"typ": "secevent+jwt", "alg": "ES256", "kid": jwk["kid"]}
    assert verified.claims == claims_of(token)


async def test_each_stream_has_a_jti_of_its_own_and_shares_the_txn(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    owner = await transmitter.add_receiver()
    for _ in range(3):
        await owner.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.deliver()
    claims = [claims_of(pushed.body) for pushed in push_receiver.pushed]
    assert len({one["jti"] for one in claims}) == 3
    assert len({one["txn"] for one in claims}) == 1


async def test_a_repeat_carries_the_same_claims_and_a_restart_changes_nothing(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    clock: FakeClock,
    database: Database,
) -> None:
    push_receiver.answer = lambda _pushed: Answer(status=503)
    await push_once(transmitter, push_receiver, occurred_at=1_799_999_000.5)
    clock.advance(120)
    await transmitter.deliver()
    clock.advance(120)
    async with running_transmitter(database, clock) as restarted:
        push_receiver.answer = lambda _pushed: Answer()
        await restarted.deliver()

    assert len(push_receiver.pushed) == 3
    first, second, third = (claims_of(pushed.body) for pushed in push_receiver.pushed)
    assert first == second == third


# ---------------------------------------------------------------- answers

JSON = {"Content-Type": "application/json"}


def said(err: str, description: str = "words") -> bytes:
    return json.dumps({"err": err, "description": description}).encode()


# status, headers, body -> state, outcome, least and most seconds until the next attempt
FIRST_WAIT = (1, WAITS_SECONDS[0])
ANSWERS = {
    "202 is delivered": (202, {}, b"", "delivered", "delivered", None),
    "200 is delivered": (200, {}, b"", "delivered", "delivered", None),
    "204 is delivered": (204, {}, b"", "delivered", "delivered", None),
    "202 with a body is delivered": (202, JSON, b'{"x":1}', "delivered", "delivered", None),
    "202 with an error body is delivered": (
        202,
        JSON,
        said("invalid_request"),
        "delivered",
        "delivered",
        None,
    ),
    "400 invalid_request is dead": (
        400,
        JSON,
        said("invalid_request"),
        "dead",
        "invalid_request",
        None,
    ),
    "400 invalid_issuer is dead": (
        400,
        JSON,
        said("invalid_issuer"),
        "dead",
        "invalid_issuer",
        None,
    ),
    "400 invalid_audience is dead": (
        400,
        JSON,
        said("invalid_audience"),
        "dead",
        "invalid_audience",
        None,
    ),
    "400 invalid_state is dead": (400, JSON, said("invalid_state"), "dead", "invalid_state", None),
    "400 with an unknown err is dead": (400, JSON, said("shrug"), "dead", "rejected", None),
    "400 without a body is dead": (400, {}, b"", "dead", "rejected", None),
    "400 with an HTML body is dead": (
        400,
        {"Content-Type": "text/html"},
        b"<h1>Bad</h1>",
        "dead",
        "rejected",
        None,
    ),
    "400 with broken JSON is dead": (400, JSON, b'{"err":', "dead", "rejected", None),
    "400 invalid_key comes again after 30 s": (
        400,
        JSON,
        said("invalid_key"),
        "waiting",
        "invalid_key",
        (30, 30),
    ),
    "400 authentication_failed comes again later": (
        400,
        JSON,
        said("authentication_failed"),
        "waiting",
        "authentication_failed",
        (60, 60),
    ),
    "400 access_denied comes again later": (
        400,
        JSON,
        said("access_denied"),
        "waiting",
        "access_denied",
        (60, 60),
    ),
    "401 comes again later": (401, {}, b"", "waiting", "unauthorized", (60, 60)),
    "403 comes again later": (403, {}, b"", "waiting", "forbidden", (60, 60)),
    "404 comes again later": (404, {}, b"", "waiting", "not_found", (60, 60)),
    "413 is dead": (413, {}, b"", "dead", "rejected", None),
    "415 is dead": (415, {}, b"", "dead", "rejected", None),
    "422 is dead": (422, {}, b"", "dead", "rejected", None),
    "408 comes again": (408, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "425 comes again": (425, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "429 comes again": (429, {}, b"", "waiting", "throttled", FIRST_WAIT),
    "500 comes again": (500, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "502 comes again": (502, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "503 comes again": (503, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "599 comes again": (599, {}, b"", "waiting", "server_error", FIRST_WAIT),
    "500 with an error body comes again": (
        500,
        JSON,
        said("invalid_request"),
        "waiting",
        "server_error",
        FIRST_WAIT,
    ),
}


async def push_to_each(
    transmitter: TransmitterUnderTest, urls: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Emits one event to a stream per URL, goes round once, and returns the deliveries."""
    owner = await transmitter.add_receiver()
    cases = {(await owner.create_push_stream(url))["stream_id"]: case for case, url in urls.items()}
    await transmitter.emit()
    await transmitter.built.worker.run_once()
    return {
        cases[delivery["stream_id"]]: delivery
        for delivery in await transmitter.deliveries(limit="100")
    }


async def test_each_answer_does_to_the_delivery_what_the_table_says(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    paths = {f"/{number}": case for number, case in enumerate(ANSWERS)}

    def answer(pushed: Pushed) -> Answer:
        status, headers, body, *_ = ANSWERS[paths[pushed.path]]
        return Answer(status=status, headers=headers, body=body)

    push_receiver.answer = answer
    found = await push_to_each(
        transmitter, {case: push_receiver.origin + path for path, case in paths.items()}
    )

    for case, (status, _headers, _body, state, word, wait) in ANSWERS.items():
        delivery = found[case]
        assert (delivery["state"], delivery["last_outcome"]) == (state, word), case
        assert (delivery["last_status"], delivery["attempts"]) == (status, 1), case
        if wait is None:
            assert delivery["next_attempt_at"] is None, case
        else:
            assert wait[0] <= waits_for(delivery, clock) <= wait[1], case


async def test_f_43_a_redirect_is_never_followed(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    statuses = ("301", "302", "303", "307", "308")
    headers = {"Location": f"{push_receiver.origin}/elsewhere"}
    push_receiver.answer = lambda pushed: Answer(status=int(pushed.path[1:]), headers=headers)

    found = await push_to_each(
        transmitter, {status: f"{push_receiver.origin}/{status}" for status in statuses}
    )

    assert {status: found[status]["last_outcome"] for status in statuses} == dict.fromkeys(
        statuses, "redirect"
    )
    assert {delivery["state"] for delivery in found.values()} == {"waiting"}
    assert "/elsewhere" not in {pushed.path for pushed in push_receiver.pushed}
    assert len(push_receiver.pushed) == len(statuses)


NO_ANSWERS = {
    "a refused connection": (None, "connection_error"),
    "a reset": (evil.reset(), "connection_error"),
    "a closed connection": (evil.raw_then_close(), "connection_error"),
    "bytes that are not HTTP": (evil.raw_then_close(b"SSH-2.0-OpenSSH\r\n\r\n"), "protocol_error"),
    "a switch of protocols": (
        evil.raw_then_hang(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        "protocol_error",
    ),
}


async def test_f_56_without_an_answer_it_is_tried_again(
    transmitter: TransmitterUnderTest, clock: FakeClock
) -> None:
    async with EvilReceiver() as receiver:
        urls = {"a refused connection": "http://127.0.0.1:1/events"}
        for number, (case, (behaviour, _word)) in enumerate(NO_ANSWERS.items()):
            if behaviour is not None:
                receiver.on(f"/{number}", behaviour)
                urls[case] = receiver.url(f"/{number}")
        found = await push_to_each(transmitter, urls)

    for case, (_behaviour, word) in NO_ANSWERS.items():
        delivery = found[case]
        assert (delivery["state"], delivery["last_outcome"]) == ("waiting", word), case
        assert (delivery["last_status"], delivery["attempts"]) == (None, 1), case
        assert 1 <= waits_for(delivery, clock) <= WAITS_SECONDS[0], case


async def test_f_53_a_receiver_that_never_answers_is_a_timeout(
    database: Database, clock: FakeClock
) -> None:
    async with (
        running_transmitter(database, clock, push_attempt_seconds=1) as transmitter,
        EvilReceiver() as receiver,
    ):
        receiver.on("/events", evil.hang())
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        await transmitter.built.worker.run_once()
        [delivery] = await transmitter.deliveries()

    assert (delivery["state"], delivery["last_outcome"]) == ("waiting", "timeout")


async def test_f_54_the_status_decides_whatever_happens_to_the_body(
    transmitter: TransmitterUnderTest,
) -> None:
    async with EvilReceiver() as receiver:
        receiver.on(
            "/events", evil.raw_then_close(evil.head_bytes(202, {"Content-Length": "1000"}))
        )
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        await transmitter.built.worker.run_once()
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "delivered"


async def test_f_45_invalid_key_is_tried_after_30_s_and_5_min_and_then_given_up(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda _p: Answer(status=400, headers=JSON, body=said("invalid_key"))
    delivery = await push_once(transmitter, push_receiver)
    assert waits_for(delivery, clock) == 30

    clock.advance(30)
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], waits_for(delivery, clock)) == ("waiting", 300)

    clock.advance(300)
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("dead", 3)


async def test_f_45_invalid_key_is_tried_again_also_after_other_failures(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    """Three time-outs say nothing about the key: the first complaint about it is the first."""
    push_receiver.answer = lambda _pushed: Answer(status=500)
    await push_once(transmitter, push_receiver)
    for _ in range(2):
        clock.advance(HOUR)
        await transmitter.deliver()
    push_receiver.answer = lambda _p: Answer(status=400, headers=JSON, body=said("invalid_key"))
    clock.advance(HOUR)
    await transmitter.deliver()

    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["last_outcome"]) == ("waiting", "invalid_key")


HOSTILE_WORDS = [
    "\u0000",
    "nul \u0000 inside",
    "\ud800 lone surrogate",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "x" * 60_000,
    "'; DROP TABLE deliveries; --",
]


async def test_whatever_the_receiver_says_can_be_written_down(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    """A string that one database refuses would stop the lane, or the worker."""

    def answer(pushed: Pushed) -> Answer:
        words = HOSTILE_WORDS[int(pushed.path[1:])]
        return Answer(status=400, headers=JSON, body=said("invalid_request", words))

    push_receiver.answer = answer
    urls = {words: f"{push_receiver.origin}/{number}" for number, words in enumerate(HOSTILE_WORDS)}
    found = await push_to_each(transmitter, urls)

    for words in HOSTILE_WORDS:
        delivery = found[words]
        assert (delivery["state"], delivery["last_outcome"]) == ("dead", "invalid_request")
        assert len(delivery["last_description"]) <= 1_000
        assert all(char.isprintable() for char in delivery["last_description"])


# ---------------------------------------------------------------- Retry-After


def http_date(clock: FakeClock, seconds: float) -> str:
    return email.utils.formatdate(clock.now() / MICROSECONDS + seconds, usegmt=True)


async def test_f_51_the_receiver_is_left_alone_for_as_long_as_it_asked(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    clock: FakeClock,
    database: Database,
) -> None:
    asked = {
        "5": 5,
        "0": 1,
        "  7 ": 7,
        "999999999": DAY,
        "999999999999999999": DAY,
        http_date(clock, 90): 90,
        http_date(clock, -HOUR): 1,
        http_date(clock, 3 * DAY): DAY,
    }
    cases = {
        f"/{status}/{number}": (status, value, seconds)
        for status in (429, 503)
        for number, (value, seconds) in enumerate(asked.items())
    }

    def answer(pushed: Pushed) -> Answer:
        status, value, _ = cases[pushed.path]
        return Answer(status=status, headers={"Retry-After": value})

    push_receiver.answer = answer
    found = await push_to_each(transmitter, {path: push_receiver.origin + path for path in cases})

    async with database.reading() as connection:
        rows = await connection.execute(
            select(targets.c.endpoint_url, lanes.c.gate_until).join(
                lanes, lanes.c.target_id == targets.c.id
            )
        )
        gates = {row.endpoint_url: row.gate_until for row in rows}
    for path, (_, _, seconds) in cases.items():
        delivery = found[path]
        assert (delivery["state"], delivery["last_outcome"]) == ("waiting", "throttled")
        assert waits_for(delivery, clock) == seconds
        assert gates[push_receiver.origin + path] == clock.now() + seconds * MICROSECONDS


GARBAGE = [
    "-1",
    "1e99",
    "banana",
    "1.5",
    "5 s",
    "",
    "\u0665",  # a digit, but not an ASCII one
    "Wed, 31 Feb 2026 07:28:00 GMT",
    "Wed, 21 Oct 99999999999 07:28:00 GMT",
    "Wed, 21 Oct 2026 07:28:00 +99999999999999999999",
]


async def answered_with(
    transmitter: TransmitterUnderTest, status: int
) -> dict[str, dict[str, Any]]:
    """The delivery that came of each piece of garbage as `Retry-After`."""
    async with EvilReceiver() as receiver:
        urls = {}
        for number, value in enumerate(GARBAGE):
            head = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n"
            receiver.on(f"/{number}", evil.raw(head.encode()))
            urls[value] = receiver.url(f"/{number}")
        return await push_to_each(transmitter, urls)


async def test_f_51_a_wait_that_cannot_be_read_means_the_usual_one(
    transmitter: TransmitterUnderTest, clock: FakeClock
) -> None:
    found = await answered_with(transmitter, 429)
    assert {value: found[value]["last_outcome"] for value in GARBAGE} == dict.fromkeys(
        GARBAGE, "throttled"
    )
    for value in GARBAGE:
        assert 1 <= waits_for(found[value], clock) <= WAITS_SECONDS[0], value


async def test_a_set_that_was_taken_is_delivered_whatever_the_other_headers_say(
    transmitter: TransmitterUnderTest,
) -> None:
    found = await answered_with(transmitter, 202)
    assert {value: found[value]["state"] for value in GARBAGE} == dict.fromkeys(
        GARBAGE, "delivered"
    )


async def test_f_51_two_waits_are_no_wait(
    transmitter: TransmitterUnderTest, clock: FakeClock
) -> None:
    async with EvilReceiver() as receiver:
        head = (
            b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: 600\r\nRetry-After: 700\r\n\r\n"
        )
        receiver.on("/events", evil.raw(head))
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        await transmitter.built.worker.run_once()

    [delivery] = await transmitter.deliveries()
    assert 1 <= waits_for(delivery, clock) <= WAITS_SECONDS[0]


_DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "", "x"]),
    st.integers(-1, 99),
    st.sampled_from(["Oct", "Feb", "13", "?"]),
    st.integers(-1, 10**21),
    st.integers(0, 10**12),
    st.integers(0, 99),
    st.integers(0, 10**10),
    st.sampled_from(["GMT", "-0000", "+9999", "-99999999999999999999", ""]),
)


@given(value=_DATES | st.text(max_size=60) | st.integers().map(str))
def test_f_51_whatever_is_asked_for_is_a_bounded_wait_or_none(value: str) -> None:
    seconds = parse_retry_after([value], now=1_800_000_000 * MICROSECONDS)
    assert seconds is None or 1 <= seconds <= DAY


async def test_f_51_the_gate_is_the_whole_streams_and_nobody_elses(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda pushed: (
        Answer(status=429, headers={"Retry-After": "60"}) if pushed.path == "/busy" else Answer()
    )
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(f"{push_receiver.origin}/busy")
    await owner.create_push_stream(f"{push_receiver.origin}/free")
    await transmitter.emit()
    await transmitter.deliver()
    await transmitter.emit(subject={"format": "opaque", "id": "another"})
    await transmitter.deliver()
    paths = [pushed.path for pushed in push_receiver.pushed]
    assert (paths.count("/busy"), paths.count("/free")) == (1, 2)

    clock.advance(59.9)
    assert await transmitter.deliver() == 0
    push_receiver.answer = lambda _pushed: Answer()
    clock.advance(0.1)
    assert await transmitter.deliver() == 2


async def test_f_51_being_asked_to_wait_is_not_charged_as_a_failed_attempt(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda _p: Answer(status=429, headers={"Retry-After": "1"})
    await push_once(transmitter, push_receiver)
    for _ in range(4):
        clock.advance(1)
        await transmitter.deliver()
    assert len(push_receiver.pushed) == 5

    [delivery] = await transmitter.deliveries()
    assert delivery["attempts"] == 0


# ---------------------------------------------------------------- the schedule


async def test_retries_follow_the_schedule_until_the_delivery_is_72_h_old(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda _pushed: Answer(status=500)
    started = clock.now()
    delivery = await push_once(transmitter, push_receiver)
    attempts = 1
    while delivery["state"] == "waiting":
        longest = WAITS_SECONDS[min(attempts, len(WAITS_SECONDS)) - 1]
        assert 1 <= waits_for(delivery, clock) <= longest
        assert await transmitter.deliver() == 0
        # As if the longest wait had been drawn, so that the test does not go on for ever.
        clock.advance(longest)
        await transmitter.deliver()
        attempts += 1
        [delivery] = await transmitter.deliveries()

    age = (clock.now() - started) / MICROSECONDS
    assert (delivery["state"], delivery["last_outcome"]) == ("dead", "server_error")
    assert delivery["attempts"] == attempts == len(push_receiver.pushed)
    assert 72 * HOUR <= age < 84 * HOUR


async def test_a_retry_comes_at_its_moment_and_not_before(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    push_receiver.answer = lambda _pushed: Answer(status=500)
    delivery = await push_once(transmitter, push_receiver)
    push_receiver.answer = lambda _pushed: Answer()

    clock.set_wall_clock(delivery["next_attempt_at"] - 1)
    assert await transmitter.deliver() == 0
    clock.set_wall_clock(delivery["next_attempt_at"])
    assert await transmitter.deliver() == 1
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)


async def test_f_44_a_set_that_is_given_up_does_not_stop_those_after_it(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    answers = iter([400, 202, 400, 202])
    push_receiver.answer = lambda _pushed: Answer(
        status=next(answers), headers=JSON, body=said("invalid_request")
    )
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    for _ in range(4):
        await transmitter.emit()
    await transmitter.deliver()

    states = [delivery["state"] for delivery in await transmitter.deliveries()]
    assert states == ["dead", "delivered", "dead", "delivered"]
    assert len(push_receiver.pushed) == 4


# ---------------------------------------------------------------- faults of ours


async def test_a_set_that_we_cannot_make_does_not_stop_the_others(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    database: Database,
    clock: FakeClock,
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    broken, *others = [
        await transmitter.emit(subject={"format": "opaque", "id": f"{i}"}) for i in range(4)
    ]
    async with database.transaction() as transaction:
        await transaction.execute(
            update(events)
            .where(events.c.event_id == broken["event_id"])
            .values(payload="this is not JSON")
        )
    await transmitter.deliver()

    [delivery] = await transmitter.deliveries(event_id=broken["event_id"])
    assert (delivery["state"], delivery["last_outcome"]) == ("waiting", "internal_fault")
    assert 1 <= waits_for(delivery, clock) <= 60
    for emitted in others:
        [delivery] = await transmitter.deliveries(event_id=emitted["event_id"])
        assert delivery["state"] == "delivered"
    assert "push.internal_fault" in [action for action, _ in transmitter.log.lines]

    async with database.transaction() as transaction:
        await transaction.execute(update(events).values(payload="{}"))
    clock.advance(60)
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries(event_id=broken["event_id"])
    assert delivery["state"] == "delivered"


async def test_an_authorization_header_that_cannot_be_opened_stops_no_other_stream(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, database: Database
) -> None:
    owner = await transmitter.add_receiver()
    sealed = await owner.create_push_stream(push_receiver.url, authorization_header="Bearer x")
    await owner.create_push_stream(push_receiver.url)
    async with database.transaction() as transaction:
        await transaction.execute(
            update(targets)
            .where(targets.c.name == sealed["stream_id"])
            .values(authorization_sealed="rubbish")
        )
    await transmitter.emit()
    await transmitter.deliver()

    states = {
        delivery["stream_id"] == sealed["stream_id"]: (delivery["state"], delivery["last_outcome"])
        for delivery in await transmitter.deliveries()
    }
    assert states == {True: ("waiting", "internal_fault"), False: ("delivered", "delivered")}
    assert len(push_receiver.pushed) == 1
    assert "authorization" not in push_receiver.pushed[0].headers


async def test_every_attempt_is_logged_once_without_anything_secret(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, database: Database
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url, authorization_header="Bearer canary")
    emitted = await transmitter.emit(subject={"format": "opaque", "id": "canary-subject"})
    await transmitter.deliver()

    lines = [fields for action, fields in transmitter.log.lines if action == "push.attempt"]
    [line] = lines
    async with database.reading() as connection:
        jti = (await connection.execute(select(deliveries.c.jti))).scalar_one()
    assert (line["event_id"], line["jti"]) == (emitted["event_id"], jti)
    assert (line["outcome"], line["status"], line["attempt"]) == ("delivered", 202, 1)
    everything = repr(transmitter.log.lines)
    assert "canary" not in everything
    assert push_receiver.pushed[0].body not in everything

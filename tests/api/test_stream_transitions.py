"""Changes of status that the transmitter makes: what is sent before, with and after the notice."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests import evil_receiver as evil
from tests.api.test_ssf_poll import NOTHING_WAITS, poll, polled_stream
from tests.clients import (
    POLL,
    PUSH,
    SESSION_REVOKED,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
)
from tests.evil_receiver import EvilReceiver, Exchange
from tests.fakes import Answer, FakeClock, RecordingReceiver
from tests.statements import Statements, until

STREAM_UPDATED = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def word_of(token: str) -> str:
    """A SET in a word: the `txn` of an event, the status of a notice, `verification`."""
    claims = claims_of(token)
    ((uri, payload),) = claims["events"].items()
    if uri == STREAM_UPDATED:
        return str(payload["status"])
    return "verification" if uri == VERIFICATION else str(claims["txn"])


def words(receiver: RecordingReceiver) -> list[str]:
    return [word_of(pushed.body) for pushed in receiver.pushed]


async def polled(receiver: ReceiverUnderTest, stream_id: str, **body: Any) -> list[str]:
    return [word_of(token) for token in (await poll(receiver, stream_id, **body))["sets"].values()]


async def change(
    transmitter: TransmitterUnderTest, stream_id: str, status: str, **more: Any
) -> dict[str, Any]:
    """What an operator does."""
    response = await transmitter.http.post(
        f"/admin/v1/streams/{stream_id}/status", json={"status": status, **more}
    )
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    return changed


async def ask(receiver: ReceiverUnderTest, stream_id: str, status: str, **more: Any) -> None:
    """What the receiver itself does."""
    response = await receiver.http.post(
        "/ssf/v1/status", json={"stream_id": stream_id, "status": status, **more}
    )
    assert response.status_code == 200, response.text


async def emit(transmitter: TransmitterUnderTest, txn: str, subject: str = "someone") -> None:
    await transmitter.emit(subject={"format": "opaque", "id": subject}, txn=txn)


async def pushed_stream(
    transmitter: TransmitterUnderTest, url: str, **terms: Any
) -> tuple[ReceiverUnderTest, str]:
    owner = await transmitter.add_receiver(**terms)
    return owner, (await owner.create_push_stream(url))["stream_id"]


async def health(transmitter: TransmitterUnderTest, stream_id: str) -> dict[str, Any]:
    response = await transmitter.http.get(f"/admin/v1/streams/{stream_id}")
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()["health"]
    return shown


# ---------------------------------------------------------------- T-20, pushed


async def test_t20_the_notice_is_about_the_stream_and_says_status_and_reason(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    shown = await change(transmitter, stream_id, "paused", reason="maintenance until 5")
    assert (shown["status"], shown["reason"]) == ("paused", "maintenance until 5")
    await change(transmitter, stream_id, "disabled")
    await transmitter.deliver()
    await change(transmitter, stream_id, "enabled", reason="back")
    await transmitter.deliver()
    sent = [claims_of(pushed.body) for pushed in push_receiver.pushed]
    assert all(claims["sub_id"] == {"format": "opaque", "id": stream_id} for claims in sent)
    # The first one was dropped with everything else when the stream was disabled.
    assert [claims["events"] for claims in sent] == [
        {STREAM_UPDATED: {"status": "disabled"}},
        {STREAM_UPDATED: {"status": "enabled", "reason": "back"}},
    ]


async def test_t20_a_pause_lets_the_notice_out_last_and_holds_the_rest(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await emit(transmitter, "1")
    await transmitter.deliver()
    await emit(transmitter, "2")
    await change(transmitter, stream_id, "paused")
    await emit(transmitter, "3")
    await transmitter.deliver()
    assert words(push_receiver) == ["1", "paused"]
    clock.advance(100_000)
    await emit(transmitter, "4")
    assert await transmitter.deliver() == 0

    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    assert words(push_receiver)[:2] == ["1", "paused"]
    after = words(push_receiver)[2:]
    assert sorted(after) == ["2", "3", "4", "enabled"]
    assert [word for word in after if word != "enabled"] == ["2", "3", "4"]


async def test_t20_what_was_held_comes_in_order_per_subject(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await change(transmitter, stream_id, "paused")
    for number in range(30):
        await emit(transmitter, f"{number}", subject=f"{number % 3}")
    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    numbers = [int(word) for word in words(push_receiver) if word.isdigit()]
    assert len(numbers) == 30
    for subject in range(3):
        assert [n for n in numbers if n % 3 == subject] == [*range(subject, 30, 3)]


async def test_t20_disabling_drops_what_waits_and_lets_only_the_notice_out(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await pushed_stream(
        transmitter, push_receiver.url, min_verification_interval=0
    )
    await emit(transmitter, "1")
    verified = await owner.http.post("/ssf/v1/verify", json={"stream_id": stream_id})
    assert verified.status_code == 204
    await change(transmitter, stream_id, "disabled")
    await emit(transmitter, "2")
    await transmitter.deliver()
    assert words(push_receiver) == ["disabled"]
    refused = await owner.http.post("/ssf/v1/verify", json={"stream_id": stream_id})
    assert (refused.status_code, refused.json()["err"]) == (400, "stream_not_enabled")

    await change(transmitter, stream_id, "enabled")
    await emit(transmitter, "3")
    await transmitter.deliver()
    assert sorted(words(push_receiver)[1:]) == ["3", "enabled"]


async def test_what_is_dropped_at_a_publish_and_by_disabling_is_counted(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    for number in range(3):
        await emit(transmitter, f"{number}")
    assert (await health(transmitter, stream_id))["waiting"] == 3
    await change(transmitter, stream_id, "disabled")
    assert (await health(transmitter, stream_id))["dropped"] == 3
    for number in range(2):
        await emit(transmitter, f"{number}")
    await transmitter.deliver()
    found = await health(transmitter, stream_id)
    assert (found["waiting"], found["oldest_waiting_at"], found["dropped"]) == (0, None, 5)
    await change(transmitter, stream_id, "enabled")
    assert (await health(transmitter, stream_id))["dropped"] == 5
    dropped = await transmitter.deliveries(stream_id=stream_id, state="dropped")
    assert {one["last_outcome"] for one in dropped} == {"stream_disabled"}
    assert len(dropped) == 5


async def test_t22_changes_that_the_receiver_makes_are_not_announced(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    for status in ("paused", "disabled", "enabled", "paused", "enabled"):
        await ask(owner, stream_id, status, reason="mine")
    await transmitter.deliver()
    assert words(push_receiver) == []


async def test_t20_the_same_status_twice_makes_one_notice_and_the_newer_reason_stays(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await change(transmitter, stream_id, "enabled")
    await change(transmitter, stream_id, "paused", reason="first")
    await transmitter.deliver()
    await change(transmitter, stream_id, "paused", reason="second")
    await transmitter.deliver()
    assert words(push_receiver) == ["paused"]
    shown = (await owner.http.get("/ssf/v1/status", params={"stream_id": stream_id})).json()
    assert shown == {"stream_id": stream_id, "status": "paused", "reason": "second"}


async def test_t20_an_operator_who_repeats_what_the_receiver_did_announces_nothing(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await ask(owner, stream_id, "paused")
    await change(transmitter, stream_id, "paused", reason="me too")
    await transmitter.deliver()
    assert words(push_receiver) == []
    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    assert words(push_receiver) == ["enabled"]


async def test_t20_two_operators_who_pause_at_once_make_one_notice(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(change(transmitter, stream_id, "paused"))
    await transmitter.deliver()
    assert words(push_receiver) == ["paused"]


# ---------------------------------------------------------------- a notice that does not get through


async def test_t20_a_notice_is_tried_again_by_the_schedule_while_the_stream_is_paused(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    push_receiver.answer = lambda _pushed: Answer(status=503)
    await emit(transmitter, "held")
    await change(transmitter, stream_id, "paused")
    for wait_seconds in (5, 30, 120):
        assert await transmitter.deliver() == 1
        assert await transmitter.deliver() == 0
        clock.advance(wait_seconds)
    push_receiver.answer = lambda _pushed: Answer()
    assert await transmitter.deliver() == 1
    assert words(push_receiver) == ["paused"] * 4
    (notice,) = [d for d in await transmitter.deliveries() if d["event_type"] == STREAM_UPDATED]
    assert (notice["state"], notice["attempts"]) == ("delivered", 4)
    clock.advance(1_000_000)
    assert await transmitter.deliver() == 0


async def test_t20_a_notice_that_is_late_comes_before_the_one_after_it(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    push_receiver.answer = lambda _pushed: Answer(status=503)
    await change(transmitter, stream_id, "paused")
    await transmitter.deliver()
    push_receiver.answer = lambda _pushed: Answer()
    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    assert words(push_receiver) == ["paused", "paused", "enabled"]


async def test_a_notice_goes_with_its_receiver(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    push_receiver.answer = lambda _pushed: Answer(status=503)
    await change(transmitter, stream_id, "paused")
    await transmitter.deliver()
    removed = await transmitter.http.delete(f"/admin/v1/receivers/{owner.client_id}")
    assert removed.status_code == 204
    clock.advance(1_000)
    assert await transmitter.deliver() == 0
    (notice,) = await transmitter.deliveries()
    assert (notice["state"], notice["last_outcome"]) == ("dropped", "receiver_removed")


async def test_a_notice_that_waits_goes_to_the_new_url_at_once(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    async with RecordingReceiver().running() as old:
        old.answer = lambda _pushed: Answer(status=503)
        owner, stream_id = await pushed_stream(transmitter, old.url)
        await emit(transmitter, "held")
        await change(transmitter, stream_id, "paused")
        await transmitter.deliver()
        response = await owner.http.patch(
            "/ssf/v1/streams",
            json={
                "stream_id": stream_id,
                "delivery": {"method": PUSH, "endpoint_url": push_receiver.url},
            },
        )
        assert response.status_code == 200, response.text
        await transmitter.deliver()
        assert (words(old), words(push_receiver)) == (["paused"], ["paused"])
        assert await transmitter.deliver() == 0


async def test_a_notice_that_waits_is_pushed_once_the_stream_is_pushed_and_not_polled(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "held")
    await change(transmitter, stream_id, "paused")
    response = await owner.http.patch(
        "/ssf/v1/streams",
        json={
            "stream_id": stream_id,
            "delivery": {"method": PUSH, "endpoint_url": push_receiver.url},
        },
    )
    assert response.status_code == 200, response.text
    await transmitter.deliver()
    assert words(push_receiver) == ["paused"]


async def test_a_notice_that_waits_can_be_polled_once_the_stream_is_polled_and_not_pushed(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    push_receiver.answer = lambda _pushed: Answer(status=503)
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await emit(transmitter, "held")
    await change(transmitter, stream_id, "paused")
    await transmitter.deliver()
    response = await owner.http.patch(
        "/ssf/v1/streams", json={"stream_id": stream_id, "delivery": {"method": POLL}}
    )
    assert response.status_code == 200, response.text
    assert await polled(owner, stream_id) == ["paused"]


async def test_a_notice_that_waits_leaves_although_the_receiver_stops_the_stream_itself(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    push_receiver.answer = lambda _pushed: Answer(status=503)
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await ask(owner, stream_id, "paused")
    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    await ask(owner, stream_id, "paused")
    push_receiver.answer = lambda _pushed: Answer()
    clock.advance(5)
    await transmitter.deliver()
    assert words(push_receiver) == ["enabled", "enabled"]


async def test_a_verification_that_waits_for_better_times_keeps_no_notice_back(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    owner, stream_id = await pushed_stream(transmitter, push_receiver.url)
    push_receiver.answer = lambda _pushed: Answer(status=503)
    await owner.http.post("/ssf/v1/verify", json={"stream_id": stream_id})
    await transmitter.deliver()
    push_receiver.answer = lambda _pushed: Answer()
    await change(transmitter, stream_id, "paused")
    await transmitter.deliver()
    assert words(push_receiver) == ["verification", "paused"]


async def test_t20_pushes_that_are_under_way_end_before_the_notice_leaves(
    transmitter: TransmitterUnderTest,
):
    """Of four subjects, each with one behind it, four are under way when the pause comes."""
    got: list[str] = []
    ended: list[str] = []
    free = asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        assert exchange.request is not None
        word = word_of(exchange.request.body.decode())
        got.append(word)
        await free.wait()
        ended.append(word)
        await exchange.send(evil.answer_bytes(202))

    async with EvilReceiver() as server:
        server.on("/events", hold)
        _, stream_id = await pushed_stream(transmitter, server.url("/events"))
        for number in range(8):
            await emit(transmitter, f"{number}", subject=f"{number % 4}")
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(transmitter.deliver())
            await server.wait_for_requests(4, timeout_seconds=20)
            await change(transmitter, stream_id, "paused")
            assert await transmitter.built.worker.run_once() == 0
            free.set()
        await transmitter.deliver()
        assert sorted(got[:4]) == ["0", "1", "2", "3"]
        assert got[-1] == "paused"
        assert sorted(ended[:4]) == ["0", "1", "2", "3"]
        # What had not begun when the pause was committed did not begin any more.
        assert len(got) == 5
        assert await transmitter.deliver() == 0


# ---------------------------------------------------------------- polled


@pytest.mark.parametrize("status", ["paused", "disabled"])
async def test_t22_only_the_notice_can_be_polled_while_the_stream_is_stopped(
    transmitter: TransmitterUnderTest, clock: FakeClock, status: str
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "1")
    await change(transmitter, stream_id, status, reason="because")
    await emit(transmitter, "2")
    ((jti, token),) = (await poll(receiver, stream_id, maxEvents=10))["sets"].items()
    assert claims_of(token)["events"] == {STREAM_UPDATED: {"status": status, "reason": "because"}}
    assert claims_of(token)["sub_id"] == {"format": "opaque", "id": stream_id}
    assert await poll(receiver, stream_id) == NOTHING_WAITS
    clock.advance(30)
    assert await polled(receiver, stream_id) == [status]
    assert await poll(receiver, stream_id, ack=[jti]) == NOTHING_WAITS
    clock.advance(30)
    assert await poll(receiver, stream_id) == NOTHING_WAITS

    await change(transmitter, stream_id, "enabled")
    held = ["1", "2"] if status == "paused" else []
    assert await polled(receiver, stream_id) == [*held, "enabled"]


async def test_t22_a_poll_that_waits_is_handed_the_notice_of_a_pause(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            waiting = group.create_task(polled(receiver, stream_id, returnImmediately=False))
            await until(lambda: asked.looks() == 1)
            await change(transmitter, stream_id, "paused")
    assert waiting.result() == ["paused"]


async def test_a_poll_that_waits_on_a_paused_stream_is_not_woken_for_good_by_what_is_held(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await ask(receiver, stream_id, "paused")
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            waiting = group.create_task(polled(receiver, stream_id, returnImmediately=False))
            await until(lambda: asked.looks() == 1)
            await emit(transmitter, "held")
            await until(lambda: asked.looks() == 2)
            assert not waiting.done()
            await change(transmitter, stream_id, "enabled")
    assert waiting.result() == ["held", "enabled"]


async def test_a_poll_that_waits_ends_at_once_when_the_stream_is_disabled(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            waiting = group.create_task(poll(receiver, stream_id, returnImmediately=False))
            await until(lambda: asked.looks() == 1)
            await ask(receiver, stream_id, "disabled")
    assert waiting.result() == NOTHING_WAITS


# ---------------------------------------------------------------- the operator's endpoint


async def test_an_operator_may_name_only_a_stream_that_is_there(
    transmitter: TransmitterUnderTest,
):
    for name, status in (("0" * 32, 404), ("%00", 400)):
        path = f"/admin/v1/streams/{name}"
        answers = [
            await transmitter.http.post(f"{path}/status", json={"status": "paused"}),
            await transmitter.http.patch(path, json={"verification_probe_interval": 60}),
            await transmitter.http.get(path),
        ]
        assert [answer.status_code for answer in answers] == [status] * 3


async def test_an_operators_body_that_is_wrong_changes_nothing(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    bodies: list[tuple[Any, str | None]] = [
        ({}, "status"),
        ({"status": "Paused"}, "status"),
        ({"status": None}, "status"),
        ({"status": ["paused"]}, "status"),
        ({"status": "paused", "reason": 5}, "reason"),
        ({"status": "paused", "reason": "x" * 1025}, "reason"),
        ({"status": "paused", "reason": "a\u0000b"}, None),
        ({"status": "paused", "reason": "a\u001b[31mb"}, "reason"),
        ({"status": "paused", "why": "x"}, "why"),
        ([], None),
    ]
    for body, field in bodies:
        response = await transmitter.http.post(f"/admin/v1/streams/{stream_id}/status", json=body)
        assert response.status_code == 400, body
        assert response.json().get("field") == field, body
    shown = (await transmitter.http.get(f"/admin/v1/streams/{stream_id}")).json()
    assert (shown["status"], shown["reason"]) == ("enabled", None)
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_a_receiver_is_no_operator(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    path = f"/admin/v1/streams/{stream_id}"
    answers: list[httpx.Response] = [
        await receiver.http.post(f"{path}/status", json={"status": "paused"}),
        await receiver.http.get(path),
        await receiver.http.patch(path, json={"verification_probe_interval": 60}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 3
    anonymous = await transmitter.anonymous.post(f"{path}/status", json={"status": "paused"})
    assert anonymous.status_code == 401
    assert await health(transmitter, stream_id)


async def test_every_change_that_an_operator_makes_is_in_the_log(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    stream_id = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    await change(transmitter, stream_id, "paused", reason="because")
    lines = [f for action, f in transmitter.log.lines if action == "stream.status_changed"]
    assert lines == [
        {"stream_id": stream_id, "was": "enabled", "status": "paused", "reason": "because"}
    ]

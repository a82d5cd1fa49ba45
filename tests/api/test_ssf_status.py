"""The status endpoint, `/ssf/v1/status` (SSF 1.0 §8.1.2)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.test_ssf_poll import poll, polled_claims, verified_set
from tests.api.test_ssf_streams import everything
from tests.clients import (
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    client_of,
    running_transmitter,
)
from tests.fakes import FakeClock, RecordingReceiver

STATUS = "/ssf/v1/status"


async def read(receiver: ReceiverUnderTest, stream_id: str) -> Any:
    response = await receiver.http.get(STATUS, params={"stream_id": stream_id})
    assert response.status_code == 200, response.text
    return response.json()


async def change(
    receiver: ReceiverUnderTest, stream_id: Any, status: Any, **more: Any
) -> httpx.Response:
    return await receiver.http.post(STATUS, json={"stream_id": stream_id, "status": status, **more})


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    return await transmitter.add_receiver()


@pytest.fixture
async def stream_id(receiver: ReceiverUnderTest) -> str:
    """A poll stream for session-revoked."""
    found: str = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    return found


# ---------------------------------------------------------------- read and write


async def test_every_status_can_follow_every_other(receiver: ReceiverUnderTest, stream_id: str):
    order = "enabled paused enabled disabled enabled disabled paused disabled paused paused"
    for status in order.split():
        expected = {"stream_id": stream_id, "status": status}
        response = await change(receiver, stream_id, status)
        assert response.status_code == 200, status
        assert response.json() == expected
        assert await read(receiver, stream_id) == expected


async def test_a_reason_is_kept_until_the_next_change(receiver: ReceiverUnderTest, stream_id: str):
    expected = {"stream_id": stream_id, "status": "paused", "reason": "maintenance ✓ until 5"}
    response = await change(receiver, stream_id, "paused", reason="maintenance ✓ until 5")
    assert response.json() == expected
    assert await read(receiver, stream_id) == expected
    await change(receiver, stream_id, "enabled")
    assert await read(receiver, stream_id) == {"stream_id": stream_id, "status": "enabled"}


async def test_a_status_survives_a_new_transmitter_over_the_same_database(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    stream_id: str,
    clock: FakeClock,
):
    await change(receiver, stream_id, "paused", reason="lunch")
    async with (
        running_transmitter(transmitter.database, clock) as second,
        client_of(second.built, receiver.access_token) as http,
    ):
        response = await http.get(STATUS, params={"stream_id": stream_id})
    assert response.json() == {"stream_id": stream_id, "status": "paused", "reason": "lunch"}


async def test_a_reason_that_is_no_text_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    before = await everything(transmitter, receiver)
    reasons: list[Any] = [
        5,
        True,
        ["x"],
        {"en": "x"},
        "x" * 5000,
        "a\u0000b",
        "a\x1b[31m",
        "\u202e",
    ]
    for reason in reasons:
        response = await change(receiver, stream_id, "paused", reason=reason)
        assert response.status_code == 400, repr(reason)[:40]
    assert await everything(transmitter, receiver) == before


async def test_a_status_that_is_none_is_refused_and_nothing_changes(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await change(receiver, stream_id, "paused", reason="before")
    before = await everything(transmitter, receiver)
    values: list[Any] = [
        "",
        "Enabled",
        "ENABLED",
        " enabled",
        "active",
        "deleted",
        None,
        True,
        1,
        ["enabled"],
        {"status": "enabled"},
        "StreamStatus.ENABLED",
    ]
    for value in values:
        response = await change(receiver, stream_id, value)
        assert response.status_code == 400, value
        assert response.json()["field"] == "status", value
    missing = await receiver.http.post(STATUS, json={"stream_id": stream_id})
    assert missing.status_code == 400
    assert missing.json()["field"] == "status"
    assert await everything(transmitter, receiver) == before


async def test_a_stream_must_be_named_and_be_there(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    before = await everything(transmitter, receiver)
    assert (await receiver.http.get(STATUS)).status_code == 400
    assert (await receiver.http.get(f"{STATUS}?stream_id=")).status_code == 400
    twice = await receiver.http.get(f"{STATUS}?stream_id={stream_id}&stream_id={stream_id}")
    assert twice.status_code == 400
    missing = await receiver.http.post(STATUS, json={"status": "paused"})
    assert missing.status_code == 400
    assert missing.json()["field"] == "stream_id"
    values: list[Any] = [None, 5, True, [stream_id], {}, "", "a\u0000b"]
    for value in values:
        assert (await change(receiver, value, "paused")).status_code == 400, value
    unknown = "0123456789abcdef0123456789abcdef"
    assert (await change(receiver, unknown, "paused")).status_code == 404
    not_there = await receiver.http.get(STATUS, params={"stream_id": unknown})
    assert not_there.status_code == 404
    assert await everything(transmitter, receiver) == before


async def test_a_subject_and_other_unknown_members_are_ignored(
    receiver: ReceiverUnderTest, stream_id: str
):
    subject = {"format": "email", "email": "user@example.com"}
    response = await change(receiver, stream_id, "paused", subject=subject, canary=1)
    expected = {"stream_id": stream_id, "status": "paused"}
    assert response.json() == expected
    queried = await receiver.http.get(STATUS, params={"stream_id": stream_id, "subject": "{}"})
    assert queried.status_code == 200
    assert queried.json() == expected


async def test_a_status_changes_one_stream_only(receiver: ReceiverUnderTest, stream_id: str):
    sibling = (await receiver.create_stream())["stream_id"]
    await change(receiver, stream_id, "disabled")
    assert await read(receiver, sibling) == {"stream_id": sibling, "status": "enabled"}


# ---------------------------------------------------------------- what it does to events (T-22)


async def test_t22_a_change_that_the_receiver_asks_for_makes_no_event(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    for status in ("paused", "enabled", "disabled", "enabled"):
        await change(receiver, stream_id, status)
    assert await poll(receiver, stream_id) == {"sets": {}}
    assert await transmitter.deliveries() == []


async def test_t22_a_receiver_may_enable_a_stream_that_it_disabled(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await change(receiver, stream_id, "disabled")
    assert (await change(receiver, stream_id, "enabled")).status_code == 200
    assert (await transmitter.emit())["matched"] == 1
    assert len((await poll(receiver, stream_id))["sets"]) == 1


async def test_a_paused_poll_stream_holds_and_later_hands_out_in_order(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await transmitter.emit(txn="a")
    await change(receiver, stream_id, "paused")
    for txn in ("b", "c"):
        assert (await transmitter.emit(txn=txn))["matched"] == 1
    assert await poll(receiver, stream_id) == {"sets": {}}
    await change(receiver, stream_id, "enabled")
    found = await polled_claims(transmitter, receiver, stream_id)
    assert [claims["txn"] for claims in found] == ["a", "b", "c"]


async def test_a_paused_push_stream_transmits_nothing_and_later_all_in_order_per_subject(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
):
    created = await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit(txn="0")
    await change(receiver, created["stream_id"], "paused")
    subjects = [{"format": "opaque", "id": name} for name in ("one", "two")]
    for txn in ("1", "2", "3"):
        for subject in subjects:
            await transmitter.emit(subject=subject, txn=txn)
    assert await transmitter.deliver() == 0
    assert push_receiver.pushed == []

    await change(receiver, created["stream_id"], "enabled")
    assert await transmitter.deliver() == 7

    sent = [await verified_set(transmitter, pushed.body) for pushed in push_receiver.pushed]
    for subject in subjects:
        own = [claims["txn"] for claims in sent if claims["sub_id"] == subject]
        assert own == ["1", "2", "3"]
    assert len({claims["jti"] for claims in sent}) == 7
    assert {record["state"] for record in await transmitter.deliveries()} == {"delivered"}


async def test_a_disabled_stream_drops_what_waits_and_takes_nothing(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
):
    created = await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await change(receiver, created["stream_id"], "disabled")
    assert (await transmitter.emit())["matched"] == 0
    assert await transmitter.deliver() == 0
    made = await transmitter.deliveries(stream_id=created["stream_id"])
    assert [one["state"] for one in made] == ["dropped", "dropped"]
    assert {one["last_outcome"] for one in made} == {"stream_disabled"}

    await change(receiver, created["stream_id"], "enabled")
    assert await transmitter.deliver() == 0
    assert push_receiver.pushed == []
    await transmitter.emit(txn="after")
    await transmitter.deliver()
    (pushed,) = push_receiver.pushed
    assert (await verified_set(transmitter, pushed.body))["txn"] == "after"


async def test_a_stream_that_goes_from_paused_to_disabled_drops_what_was_held(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await change(receiver, stream_id, "paused")
    await transmitter.emit()
    await change(receiver, stream_id, "disabled")
    await change(receiver, stream_id, "enabled")
    assert await poll(receiver, stream_id) == {"sets": {}}
    (dropped,) = await transmitter.deliveries(stream_id=stream_id)
    assert dropped["state"] == "dropped"


async def test_a_disabled_stream_does_not_hold_back_its_sibling(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    sibling = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    await transmitter.emit()
    await change(receiver, stream_id, "disabled")
    assert (await transmitter.emit())["matched"] == 1
    assert len((await poll(receiver, sibling))["sets"]) == 2


async def test_an_event_and_a_change_at_once_leave_nothing_undecided(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    """Whether the event was first or not, it is dropped, and nothing waits."""
    async with asyncio.TaskGroup() as group:
        emitting = [group.create_task(transmitter.emit()) for _ in range(5)]
        disabling = group.create_task(change(receiver, stream_id, "disabled"))
        emitting += [group.create_task(transmitter.emit()) for _ in range(5)]
    assert disabling.result().status_code == 200
    records = await transmitter.deliveries(stream_id=stream_id)
    assert len(records) == len(emitting)
    assert {record["state"] for record in records} == {"dropped"}
    assert sum(task.result()["matched"] for task in emitting) <= len(emitting)

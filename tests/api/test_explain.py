"""Why an event was or was not delivered, as an operator is told (`GET /admin/v1/events/{event_id}`)."""

import json
from typing import Any

from tests.api.test_ssf_poll import poll
from tests.api.test_ssf_subjects import (
    DEVICE_D,
    EMAIL_A,
    USER_U,
    complex_of,
    must_add,
    must_remove,
    new_stream,
)
from tests.clients import (
    CREDENTIAL_CHANGE,
    PUSH,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
)
from tests.fakes import Answer, FakeClock, RecordingReceiver


async def explain(
    transmitter: TransmitterUnderTest, emitted: dict[str, Any] | str, **query: Any
) -> dict[str, Any]:
    event_id = emitted if isinstance(emitted, str) else emitted["event_id"]
    response = await transmitter.http.get(f"/admin/v1/events/{event_id}", params=query)
    assert response.status_code == 200, response.text
    explained: dict[str, Any] = response.json()
    return explained


async def only(
    transmitter: TransmitterUnderTest, emitted: dict[str, Any] | str, stream_id: str
) -> dict[str, Any]:
    """What became of an event on one stream."""
    [one] = (await explain(transmitter, emitted, stream_id=stream_id))["streams"]
    assert one["stream_id"] == stream_id
    found: dict[str, Any] = one
    return found


def said(one: dict[str, Any]) -> tuple[str, str]:
    assert one["description"].endswith(".")
    assert (one["delivery"] is None) is (one["verdict"] == "not_sent")
    return one["verdict"], one["why"]


async def set_status(receiver: ReceiverUnderTest, stream_id: str, status: str) -> None:
    body = {"stream_id": stream_id, "status": status}
    assert (await receiver.http.post("/ssf/v1/status", json=body)).status_code == 200


# ---------------------------------------------------------------- the event


async def test_an_event_is_shown_as_it_was_emitted(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    emitted = await transmitter.emit(
        payload={"reason_admin": {"en": "ü"}},
        subject=EMAIL_A,
        txn="t-1",
        occurred_at=1_700_000_000,
    )
    explained = await explain(transmitter, emitted)
    assert explained == {
        "event_id": emitted["event_id"],
        "event_type": SESSION_REVOKED,
        "subject": EMAIL_A,
        "payload": {"reason_admin": {"en": "ü"}},
        "txn": "t-1",
        "toe": 1_700_000_000,
        "audience": None,
        "created_at": clock.now(),
        "streams": [],
    }


async def test_an_event_or_a_stream_that_is_not_there_is_404(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    emitted = await transmitter.emit()
    for event_id, query, field in (
        ("evt_none", {}, "event_id"),
        ("evt_none", {"stream_id": stream_id}, "event_id"),
        (emitted["event_id"], {"stream_id": "none"}, "stream_id"),
        (stream_id, {}, "event_id"),
        (receiver.client_id, {}, "event_id"),
    ):
        response = await transmitter.http.get(f"/admin/v1/events/{event_id}", params=query)
        assert (response.status_code, response.json()["field"]) == (404, field), event_id


async def test_only_operators_are_told(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    event_id = (await transmitter.emit())["event_id"]
    for path in (
        f"/admin/v1/events/{event_id}",
        "/admin/v1/events/none",
        f"/admin/v1/streams/{stream_id}/subjects",
    ):
        assert (await receiver.http.get(path)).status_code == 403
        assert (await transmitter.anonymous.get(path)).status_code == 401


# ---------------------------------------------------------------- sent


async def test_a_stream_of_all_subjects_says_so_and_names_none(transmitter: TransmitterUnderTest):
    _, stream_id = await new_stream(transmitter, "ALL")
    one = await only(transmitter, await transmitter.emit(), stream_id)
    assert said(one) == ("waiting", "all_subjects")
    assert one["matched_subject"] is None
    assert one["delivery"]["stream_id"] == stream_id
    assert (one["delivery"]["state"], one["delivery"]["attempts"]) == ("waiting", 0)


async def test_the_subject_that_matched_is_shown_as_its_receiver_wrote_it(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await new_stream(transmitter)
    words = complex_of(device=DEVICE_D, user={"format": "email", "email": "a@EXAMPLE.com"})
    await must_add(receiver, stream_id, USER_U, words)

    emitted = await transmitter.emit(subject=complex_of(user=EMAIL_A))

    one = await only(transmitter, emitted, stream_id)
    assert said(one) == ("waiting", "added_subject")
    assert one["matched_subject"] == {
        "subject": words,
        "added": True,
        "verified": True,
        "removal_at": None,
        "changed_at": clock.now(),
    }


async def test_on_a_stream_of_all_a_later_addition_is_named(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter, "ALL")
    both = complex_of(user=USER_U, device=DEVICE_D)
    await must_remove(receiver, stream_id, complex_of(user=USER_U))
    await must_add(receiver, stream_id, both)
    one = await only(transmitter, await transmitter.emit(subject=both), stream_id)
    assert said(one) == ("waiting", "added_subject")
    assert one["matched_subject"]["subject"] == both


async def test_events_about_the_stream_itself_are_explained_by_that(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter)
    _, other_stream = await new_stream(transmitter)
    emitted = await transmitter.emit(subject={"format": "opaque", "id": stream_id})
    assert said(await only(transmitter, emitted, stream_id)) == ("waiting", "stream_itself")
    assert said(await only(transmitter, emitted, other_stream)) == ("not_sent", "subject_not_added")

    asked = await receiver.http.post("/ssf/v1/verify", json={"stream_id": stream_id})
    assert asked.status_code == 204
    verification = (await transmitter.deliveries(stream_id=stream_id))[-1]["event_id"]
    assert said(await only(transmitter, verification, stream_id)) == ("waiting", "stream_itself")
    assert said(await only(transmitter, verification, other_stream)) == (
        "not_sent",
        "about_another_stream",
    )


async def test_every_state_of_a_delivery_is_a_verdict(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_push_stream(push_receiver.url)
    name = stream["stream_id"]

    delivered = await transmitter.emit()
    await transmitter.deliver()
    one = await only(transmitter, delivered, name)
    assert said(one) == ("delivered", "all_subjects")
    assert "after 1 attempt." in one["description"]
    assert (one["delivery"]["last_status"], one["delivery"]["attempts"]) == (202, 1)

    push_receiver.answer = lambda _pushed: Answer(status=503)
    tried = await transmitter.emit()
    await transmitter.deliver()
    one = await only(transmitter, tried, name)
    assert said(one) == ("waiting", "all_subjects")
    assert "after 1 attempt; the last one came to" in one["description"]

    body = json.dumps({"err": "invalid_request", "description": "no"}).encode()
    push_receiver.answer = lambda _pushed: Answer(
        status=400, body=body, headers={"content-type": "application/json"}
    )
    clock.advance(3600)
    await transmitter.deliver()
    one = await only(transmitter, tried, name)
    assert said(one) == ("dead", "all_subjects")
    assert "given up after 2 attempts" in one["description"]

    await set_status(receiver, name, "paused")
    held = await transmitter.emit()
    one = await only(transmitter, held, name)
    assert said(one) == ("waiting", "all_subjects")
    assert "paused" in one["description"]

    await set_status(receiver, name, "disabled")
    missed = await transmitter.emit()
    for dropped in (held, missed):
        one = await only(transmitter, dropped, name)
        assert said(one) == ("dropped", "all_subjects")
        assert "stream_disabled" in one["description"]


async def test_an_acknowledged_poll_is_delivered(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter, "ALL")
    emitted = await transmitter.emit()
    [jti] = (await poll(receiver, stream_id))["sets"]
    assert said(await only(transmitter, emitted, stream_id)) == ("waiting", "all_subjects")
    await poll(receiver, stream_id, ack=[jti])
    one = await only(transmitter, emitted, stream_id)
    assert said(one) == ("delivered", "all_subjects")
    assert one["delivery"]["jti"] == jti


# ---------------------------------------------------------------- not sent


async def test_each_reason_not_to_send_is_told(transmitter: TransmitterUnderTest, clock: FakeClock):
    not_added_by, not_added = await new_stream(transmitter)
    remover, removed = await new_stream(transmitter, "ALL")
    await must_add(not_added_by, not_added, USER_U)
    await must_remove(remover, removed, EMAIL_A)
    stranger = await transmitter.add_receiver(audience="https://stranger.example.com")
    elsewhere = (await stranger.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    other_type = (await stranger.create_stream(events_requested=[CREDENTIAL_CHANGE]))["stream_id"]

    emitted = await transmitter.emit(subject=EMAIL_A, audience="https://receiver.example.com")
    clock.advance(1)
    _, younger = await new_stream(transmitter, "ALL")

    assert emitted["matched"] == 0
    found = {one["stream_id"]: one for one in (await explain(transmitter, emitted))["streams"]}
    assert {name: said(one) for name, one in found.items()} == {
        not_added: ("not_sent", "subject_not_added"),
        removed: ("not_sent", "subject_removed"),
        elsewhere: ("not_sent", "audience_not_named"),
        other_type: ("not_sent", "event_type_not_requested"),
        younger: ("not_sent", "stream_is_younger"),
    }
    assert all(one["matched_subject"] is None for one in found.values())


async def test_what_was_changed_since_is_said_to_be_so(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    emitted = await transmitter.emit(subject=EMAIL_A)
    assert said(await only(transmitter, emitted, stream_id)) == ("not_sent", "subject_not_added")
    await must_add(receiver, stream_id, EMAIL_A)
    assert said(await only(transmitter, emitted, stream_id)) == ("not_sent", "changed_since")


async def test_a_delivery_stays_explained_when_its_subject_is_gone(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A)
    emitted = await transmitter.emit(subject=EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    one = await only(transmitter, emitted, stream_id)
    assert said(one) == ("waiting", "added_subject")
    assert one["matched_subject"] is None


async def test_a_deleted_stream_is_not_explained_any_more(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter, "ALL")
    emitted = await transmitter.emit()
    gone = await receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream_id})
    assert gone.status_code == 204
    assert (await explain(transmitter, emitted))["streams"] == []
    [record] = await transmitter.deliveries(event_id=emitted["event_id"])
    assert (record["stream_id"], record["state"]) == (None, "dropped")


# ---------------------------------------------------------------- pages, secrets


async def test_streams_come_in_pages(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver()
    created = [
        (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
        for _ in range(5)
    ]
    emitted = await transmitter.emit()
    pages: list[list[str]] = []
    after: dict[str, str] = {}
    while True:
        explained = await explain(transmitter, emitted, limit=2, **after)
        pages.append([one["stream_id"] for one in explained["streams"]])
        if "next" not in explained:
            break
        after = {"after": explained["next"]}
    assert pages == [created[:2], created[2:4], created[4:]]
    assert "next" not in await explain(transmitter, emitted, limit=5)
    for bad in ({"limit": "0"}, {"limit": "201"}, {"after": "x"}):
        response = await transmitter.http.get(f"/admin/v1/events/{emitted['event_id']}", params=bad)
        assert response.status_code == 400


async def test_the_subjects_of_a_stream_come_in_pages(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    subjects = [{"format": "opaque", "id": f"s{number}"} for number in range(5)]
    await must_add(receiver, stream_id, *subjects)
    path = f"/admin/v1/streams/{stream_id}/subjects"
    seen: list[list[Any]] = []
    after: dict[str, Any] = {}
    while True:
        body = (await transmitter.http.get(path, params={"limit": 2, **after})).json()
        seen.append([one["subject"] for one in body["subjects"]])
        if "next" not in body:
            break
        after = {"after": body["next"]}
    assert seen == [subjects[:2], subjects[2:4], subjects[4:]]
    missing = await transmitter.http.get("/admin/v1/streams/none/subjects")
    assert missing.status_code == 404


async def test_nothing_secret_is_in_it(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(
        events_requested=[SESSION_REVOKED],
        delivery={
            "method": PUSH,
            "endpoint_url": "https://receiver.example.com/events",
            "authorization_header": "Bearer only-for-pushing",
        },
    )
    shown = json.dumps(await explain(transmitter, await transmitter.emit()))
    assert "only-for-pushing" not in shown
    assert receiver.access_token not in shown
    assert "eyJ" not in shown, "no signed token"

"""`PATCH /admin/v1/receivers/{client_id}`: what is agreed changes, and the streams follow."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from ssf.store import schema
from tests.api.test_sse_profile import ALIASES, configure
from tests.api.test_sse_verify_and_poll import claims_of
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    SUBJECT,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
)
from tests.fakes import FakeClock, RecordingReceiver

TERMS: dict[str, tuple[Any, Any]] = {
    # term: a value that is agreed first, another one
    "name": ("first", "second"),
    "audience": (["https://a.example"], ["https://b.example", "https://c.example"]),
    "events_supported": ([SESSION_REVOKED], [CREDENTIAL_CHANGE, SESSION_REVOKED]),
    "default_subjects": ("NONE", "ALL"),
    "min_verification_interval": (5, 0),
    "max_streams": (3, 7),
    "inactivity_timeout": (60, 3_600),
    "legacy_event_uris": (True, False),
    "subject_in_event": (True, False),
}
HAVE_DEFAULTS = [term for term in TERMS if term not in {"name", "audience"}]


def path(receiver: ReceiverUnderTest) -> str:
    return f"/admin/v1/receivers/{receiver.client_id}"


async def show(transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest) -> dict[str, Any]:
    response = await transmitter.http.get(path(receiver))
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def patch(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, **changes: Any
) -> dict[str, Any]:
    """Changes terms; the answer must be what is shown afterwards."""
    response = await transmitter.http.patch(path(receiver), json=changes)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    assert changed == await show(transmitter, receiver)
    return changed


async def poll(receiver: ReceiverUnderTest, stream_id: str) -> list[dict[str, Any]]:
    url = f"/ssf/v1/poll/{stream_id}"
    response = await receiver.http.post(url, json={"returnImmediately": True})
    assert response.status_code == 200, response.text
    return [claims_of(token) for token in response.json()["sets"].values()]


async def inactive_at(transmitter: TransmitterUnderTest) -> list[int | None]:
    async with transmitter.database.reading() as connection:
        found = await connection.execute(
            select(schema.streams.c.inactive_at).order_by(schema.streams.c.id)
        )
        return list(found.scalars())


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver with every term agreed."""
    return await transmitter.add_receiver(**{term: first for term, (first, _) in TERMS.items()})


# ------------------------------------------------------------------ one term at a time


@pytest.mark.parametrize("term", TERMS)
async def test_a_term_is_changed_and_no_other(transmitter, receiver, term):
    before = await show(transmitter, receiver)
    _, second = TERMS[term]
    changed = await patch(transmitter, receiver, **{term: second})
    assert changed == {**before, term: second}


@pytest.mark.parametrize("term", HAVE_DEFAULTS)
async def test_null_goes_back_to_the_default(transmitter, receiver, term):
    default = (await show(transmitter, await transmitter.add_receiver()))[term]
    before = await show(transmitter, receiver)
    assert before[term] != default
    assert await patch(transmitter, receiver, **{term: None}) == {**before, term: default}


async def test_an_empty_body_changes_nothing(transmitter, receiver):
    before = await show(transmitter, receiver)
    assert await patch(transmitter, receiver) == before


async def test_all_terms_are_changed_at_once(transmitter, receiver):
    seconds = {term: second for term, (_, second) in TERMS.items()}
    assert seconds.items() <= (await patch(transmitter, receiver, **seconds)).items()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"audience": None}, "audience"),
        ({"audience": []}, "audience"),
        ({"events_supported": []}, "events_supported"),
        ({"events_supported": ["nonsense"]}, "event_type"),
        ({"events_supported": [VERIFICATION]}, "events_supported"),
        ({"default_subjects": "SOME"}, "default_subjects"),
        ({"min_verification_interval": -1}, "min_verification_interval"),
        ({"min_verification_interval": "5"}, "min_verification_interval"),
        ({"max_streams": 0}, "max_streams"),
        ({"inactivity_timeout": 0}, "inactivity_timeout"),
        ({"legacy_event_uris": "yes"}, "legacy_event_uris"),
        ({"subject_in_event": 1}, "subject_in_event"),
        ({"client_id": "another"}, "client_id"),
        ({"client_secret": "mine"}, "client_secret"),
        ({"audiences": ["https://b.example"]}, "audiences"),
    ],
)
async def test_a_bad_body_is_refused_and_changes_nothing(transmitter, receiver, body, field):
    before = await show(transmitter, receiver)
    response = await transmitter.http.patch(path(receiver), json={"max_streams": 9, **body})
    assert response.status_code == 400, response.text
    if field != "event_type":
        assert response.json()["field"] == field
    assert await show(transmitter, receiver) == before


async def test_a_name_that_is_taken_is_a_conflict_and_changes_nothing(transmitter, receiver):
    await transmitter.add_receiver(name="taken")
    stream = await receiver.create_stream()
    before = await show(transmitter, receiver)
    body = {"name": "taken", "audience": "https://b.example"}
    response = await transmitter.http.patch(path(receiver), json=body)
    assert response.status_code == 409
    assert "taken" in response.json()["description"]
    assert response.json()["field"] == "name"
    assert await show(transmitter, receiver) == before
    params = {"stream_id": stream["stream_id"]}
    assert (await receiver.http.get("/ssf/v1/streams", params=params)).json() == stream
    assert (await patch(transmitter, receiver, name="first"))["name"] == "first", "its own"


async def test_a_receiver_that_is_not_there_is_404(transmitter, receiver):
    response = await transmitter.http.patch("/admin/v1/receivers/nobody", json={"name": "x"})
    assert response.status_code == 404
    removed = await transmitter.http.delete(path(receiver))
    assert removed.status_code == 204
    assert (await transmitter.http.patch(path(receiver), json={})).status_code == 404


async def test_a_receiver_cannot_change_its_own_terms(receiver):
    response = await receiver.http.patch(path(receiver), json={"max_streams": 1_000})
    assert response.status_code == 403


# ------------------------------------------------------------------ the streams follow


async def test_every_stream_shows_what_is_agreed_now(transmitter, receiver):
    for _ in range(2):
        await receiver.create_stream(events_requested=[SESSION_REVOKED, CREDENTIAL_CHANGE])
    other = await transmitter.add_receiver()
    untouched = await other.create_stream(events_requested=[SESSION_REVOKED])
    await patch(
        transmitter,
        receiver,
        audience="https://b.example",
        events_supported=[CREDENTIAL_CHANGE],
        min_verification_interval=9,
        inactivity_timeout=77,
    )
    for stream in (await receiver.http.get("/ssf/v1/streams")).json():
        assert stream["aud"] == "https://b.example"
        assert stream["events_supported"] == [CREDENTIAL_CHANGE]
        assert stream["events_delivered"] == [CREDENTIAL_CHANGE]
        assert stream["events_requested"] == [SESSION_REVOKED, CREDENTIAL_CHANGE]
        assert stream["min_verification_interval"] == 9
        assert stream["inactivity_timeout"] == 77
    assert (await other.http.get("/ssf/v1/streams")).json() == [untouched]


async def test_subjects_are_judged_by_the_default_that_is_agreed_now(transmitter, receiver):
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    assert (await transmitter.emit())["matched"] == 0
    await patch(transmitter, receiver, default_subjects="ALL")
    assert (await transmitter.emit())["matched"] == 1
    await patch(transmitter, receiver, default_subjects="NONE")
    assert (await transmitter.emit())["matched"] == 0


async def test_events_are_routed_by_what_is_on_offer_now(transmitter):
    receiver = await transmitter.add_receiver(events_supported=[SESSION_REVOKED])
    await receiver.create_stream(events_requested=[SESSION_REVOKED, CREDENTIAL_CHANGE])
    payload = {"credential_type": "password", "change_type": "update"}
    assert (await transmitter.emit())["matched"] == 1
    assert (await transmitter.emit("credential-change", payload=payload))["matched"] == 0
    await patch(transmitter, receiver, events_supported=["credential-change"])
    assert (await transmitter.emit())["matched"] == 0
    assert (await transmitter.emit("credential-change", payload=payload))["matched"] == 1
    await patch(transmitter, receiver, events_supported=None)
    assert (await transmitter.emit())["matched"] == 1


async def test_what_waits_is_sent_as_is_agreed_now(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver()
    polled = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await receiver.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await patch(transmitter, receiver, audience="https://b.example", subject_in_event=True)
    await transmitter.deliver()
    [pushed] = push_receiver.pushed
    for claims in (claims_of(pushed.body), *await poll(receiver, polled["stream_id"])):
        assert claims["aud"] == "https://b.example"
        assert claims["events"] == {SESSION_REVOKED: {"subject": SUBJECT}}


async def test_where_the_subject_is_follows_the_profile_again_after_null(transmitter):
    receiver = await transmitter.add_receiver(subject_in_event=False)
    await configure(receiver)
    [facade] = (await receiver.http.get("/ssf/v1/streams")).json()
    plain = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit(subject=ALIASES)
    await patch(transmitter, receiver, subject_in_event=None)
    [old] = await poll(receiver, facade["stream_id"])
    assert old["events"] == {SESSION_REVOKED: {"subject": ALIASES}}
    [new] = await poll(receiver, plain["stream_id"])
    assert new["events"] == {SESSION_REVOKED: {}}


async def test_legacy_event_uris_hold_for_the_next_verification(transmitter):
    receiver = await transmitter.add_receiver(min_verification_interval=0)
    stream = await receiver.create_stream()
    await patch(transmitter, receiver, legacy_event_uris=True)
    body = {"stream_id": stream["stream_id"]}
    assert (await receiver.http.post("/ssf/v1/verify", json=body)).status_code == 204
    [claims] = await poll(receiver, stream["stream_id"])
    assert list(claims["events"]) == [
        "https://schemas.openid.net/secevent/sse/event-type/verification"
    ]


async def test_a_producers_audience_is_compared_with_the_one_agreed_now(transmitter):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await patch(transmitter, receiver, audience="https://b.example")
    assert (await transmitter.emit(audience=AUDIENCE))["matched"] == 0
    assert (await transmitter.emit(audience="https://b.example"))["matched"] == 1


async def test_an_inactivity_timeout_counts_from_its_change_and_no_other_change_restarts_it(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=100)
    await receiver.create_stream()
    [first] = await inactive_at(transmitter)
    clock.advance(10)
    await patch(transmitter, receiver, name="another", audience="https://b.example")
    await patch(transmitter, receiver, inactivity_timeout=100)
    assert await inactive_at(transmitter) == [first]
    await patch(transmitter, receiver, inactivity_timeout=200)
    assert await inactive_at(transmitter) == [clock.now() + 200_000_000]
    await patch(transmitter, receiver, inactivity_timeout=None)
    assert await inactive_at(transmitter) == [None]


async def test_a_lower_limit_closes_no_stream_and_permits_no_further_one(transmitter):
    receiver = await transmitter.add_receiver()
    for _ in range(2):
        await receiver.create_stream()
    await patch(transmitter, receiver, max_streams=1)
    assert len((await receiver.http.get("/ssf/v1/streams")).json()) == 2
    assert (await receiver.http.post("/ssf/v1/streams", json={})).status_code == 409


async def test_a_change_is_seen_by_the_receivers_next_read_modify_replace(transmitter):
    receiver = await transmitter.add_receiver()
    shown = await configure(receiver)
    await patch(transmitter, receiver, audience="https://b.example")
    stale = await receiver.http.post("/sse/v1/stream", json=shown)
    assert stale.status_code == 400
    assert stale.json()["field"] == "aud"
    fresh = (await receiver.http.get("/sse/v1/stream")).json()
    assert (await receiver.http.post("/sse/v1/stream", json=fresh)).status_code == 200


# ------------------------------------------------------------------ at the same time


async def at_once(*requests: Any) -> list[httpx.Response]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(request) for request in requests]
    return [task.result() for task in running]


async def test_streams_that_are_made_and_changed_meanwhile_follow_too(transmitter):
    """Whoever comes second must see what the first has agreed."""
    receiver = await transmitter.add_receiver(events_supported=[SESSION_REVOKED])
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    requested = [SESSION_REVOKED, CREDENTIAL_CHANGE]
    change = {"stream_id": stream["stream_id"], "events_requested": requested}
    terms = {"events_supported": [CREDENTIAL_CHANGE], "audience": "https://b.example"}
    answers = await at_once(
        *(receiver.http.post("/ssf/v1/streams", json={"events_requested": requested})
          for _ in range(2)),
        receiver.http.patch("/ssf/v1/streams", json=change),
        transmitter.http.patch(path(receiver), json=terms),
        *(receiver.http.post("/ssf/v1/streams", json={"events_requested": requested})
          for _ in range(2)),
        receiver.http.patch("/ssf/v1/streams", json=change),
        receiver.http.post("/sse/v1/verify"),
    )  # fmt: skip
    assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
    streams = (await receiver.http.get("/ssf/v1/streams")).json()
    assert {stream["aud"] for stream in streams} == {"https://b.example"}
    payload = {"credential_type": "password", "change_type": "update"}
    emitted = await transmitter.emit("credential-change", payload=payload)
    interested = [stream for stream in streams if stream["events_delivered"]]
    assert emitted["matched"] == len(interested) >= 5
    assert (await transmitter.emit())["matched"] == 0


async def test_two_changes_at_once_lose_neither(transmitter, receiver):
    answers = await at_once(
        transmitter.http.patch(path(receiver), json={"name": "changed"}),
        transmitter.http.patch(path(receiver), json={"max_streams": 50}),
        transmitter.http.patch(path(receiver), json={"audience": "https://z.example"}),
    )
    assert [answer.status_code for answer in answers] == [200] * 3
    shown = await show(transmitter, receiver)
    assert (shown["name"], shown["max_streams"], shown["audience"]) == (
        "changed",
        50,
        ["https://z.example"],
    )

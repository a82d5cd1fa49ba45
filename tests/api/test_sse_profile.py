"""The older profile, `/sse/v1`, row by row where its own files do not (SSE 1.0, draft of 2021).

`test_sse_stream` has the stream, `test_sse_verify_and_poll` verification and poll,
`test_discovery` the metadata.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ssf.rules.access import Scope
from tests.api.test_sse_stream import with_scopes
from tests.api.test_sse_verify_and_poll import claims_of, poll
from tests.clients import (
    AUDIENCE,
    SESSION_REVOKED,
    SUBJECT,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import Answer, RecordingReceiver

STREAM, STATUS, VERIFY, POLL = (
    f"/sse/v1/{name}" for name in ("stream", "status", "verify", "poll")
)
LEGACY = "https://schemas.openid.net/secevent/sse/event-type"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
OLD_POLL = "https://schemas.openid.net/secevent/risc/delivery-method/poll"

ISS_SUB = {"format": "iss_sub", "iss": "https://idp.example.com", "sub": "42"}
OPAQUE = {"format": "opaque", "id": "dM1"}
ALIASES = {"format": "aliases", "identifiers": [SUBJECT, ISS_SUB]}


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver that polls session-revoked events over the older profile."""
    added = await transmitter.add_receiver()
    await configure(added)
    return added


@pytest.fixture
async def not_providing(database, clock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter that shows no default stream to a receiver that has none."""
    async with running_transmitter(database, clock, sse_auto_provision=False) as running:
        yield running


async def configure(receiver: ReceiverUnderTest, **changes: Any) -> dict[str, Any]:
    body = {"events_requested": [SESSION_REVOKED], "delivery": {"method": OLD_POLL}, **changes}
    response = await receiver.http.post(STREAM, json=body)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def read_status(receiver: ReceiverUnderTest) -> Any:
    response = await receiver.http.get(STATUS)
    assert response.status_code == 200, response.text
    return response.json()


async def set_status(receiver: ReceiverUnderTest, status: str, **more: Any) -> Any:
    response = await receiver.http.post(STATUS, json={"status": status, **more})
    assert response.status_code == 200, response.text
    return response.json()


def refusal(response: httpx.Response, status: int, field: str | None = None) -> str:
    assert response.status_code == status, response.text
    answer = response.json()
    assert answer["err"]
    assert answer.get("field") == field
    description: str = answer["description"]
    return description


async def the_one_set(receiver: ReceiverUnderTest) -> dict[str, Any]:
    """The claims of the one SET that waits."""
    [claims] = (await poll(receiver)).values()
    found: dict[str, Any] = claims
    return found


# ------------------------------------------------------------------ §1 endpoints


async def test_row_1_status_every_status_can_follow_every_other(receiver):
    order = "enabled paused enabled disabled enabled disabled paused disabled paused paused"
    for status in order.split():
        assert await set_status(receiver, status) == {"status": status}
        assert await read_status(receiver) == {"status": status}


async def test_row_1_register_and_trigger_event_are_not_offered(transmitter):
    for path in ("/sse/v1/register", "/register", "/sse/v1/trigger-event", "/trigger-event"):
        for http in (transmitter.http, transmitter.anonymous):
            refusal(await http.post(path, json={"audience": AUDIENCE}), 404)


@pytest.mark.parametrize("well_known", ["sse-configuration", "risc-configuration"])
async def test_row_1_every_endpoint_of_the_metadata_that_takes_no_subject_answers(
    receiver, well_known
):
    document = (await receiver.http.get(f"/.well-known/{well_known}")).json()
    assert (await receiver.http.get(document["configuration_endpoint"])).status_code == 200
    assert (await receiver.http.get(document["status_endpoint"])).status_code == 200
    assert (await receiver.http.post(document["verification_endpoint"])).status_code == 204
    assert (await receiver.http.get(document["jwks_uri"])).status_code == 200


async def test_row_1_status_takes_get_and_post_only(receiver):
    for method in ("PUT", "PATCH", "DELETE"):
        response = await receiver.http.request(method, STATUS, json={})
        refusal(response, 405)
        assert {"GET", "POST"} <= {*response.headers["allow"].split(", ")}


# ------------------------------------------------------------------ §2 no stream_id anywhere


async def test_row_2_no_answer_names_the_stream(transmitter, receiver):
    shown = await configure(receiver)
    answers = [
        json.dumps(shown),
        (await receiver.http.get(STREAM)).text,
        (await receiver.http.get(STATUS)).text,
        (await receiver.http.post(STATUS, json={"status": "enabled"})).text,
        (await receiver.http.post(VERIFY)).text,
        (await transmitter.anonymous.get("/.well-known/sse-configuration")).text,
    ]
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    for answer in answers:
        assert "stream_id" not in answer
        assert stream["stream_id"] not in answer


async def test_row_2_description_and_inactivity_timeout_are_not_shown(transmitter):
    receiver = await transmitter.add_receiver(inactivity_timeout=3_600)
    created = await receiver.create_stream(description="a note")
    assert created["inactivity_timeout"] == 3_600
    shown = (await receiver.http.get(STREAM)).json()
    assert "inactivity_timeout" not in shown
    assert "description" not in shown


# ------------------------------------------------------------------ §2, §4 status


async def test_row_2_status_shows_the_status_only_though_there_is_a_reason(receiver):
    assert await set_status(receiver, "paused", reason="maintenance") == {"status": "paused"}
    assert await read_status(receiver) == {"status": "paused"}
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    params = {"stream_id": stream["stream_id"]}
    ssf = (await receiver.http.get("/ssf/v1/status", params=params)).json()
    assert ssf == {"stream_id": stream["stream_id"], "status": "paused", "reason": "maintenance"}


async def test_row_2_status_set_through_ssf_1_0_is_shown_here(receiver):
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    body = {"stream_id": stream["stream_id"], "status": "disabled"}
    assert (await receiver.http.post("/ssf/v1/status", json=body)).status_code == 200
    assert await read_status(receiver) == {"status": "disabled"}


@pytest.mark.parametrize("subject", [SUBJECT, {"format": "nonsense"}, None, "x", {}])
async def test_row_2_status_of_a_subject_is_refused_and_changes_nothing(receiver, subject):
    asked = await receiver.http.get(STATUS, params={"subject": json.dumps(subject)})
    assert "per subject is not offered" in refusal(asked, 400, "subject")
    body = {"status": "paused", "subject": subject}
    posted = await receiver.http.post(STATUS, json=body)
    assert "per subject is not offered" in refusal(posted, 400, "subject")
    in_query = await receiver.http.post(
        STATUS, json={"status": "paused"}, params={"subject": json.dumps(subject)}
    )
    refusal(in_query, 400, "subject")
    assert await read_status(receiver) == {"status": "enabled"}


@pytest.mark.parametrize("status", ["ENABLED", "stopped", "", None, 1, ["paused"], {"a": 1}, True])
async def test_row_2_an_unknown_status_is_refused_and_changes_nothing(receiver, status):
    await set_status(receiver, "paused")
    refusal(await receiver.http.post(STATUS, json={"status": status}), 400, "status")
    assert await read_status(receiver) == {"status": "paused"}


async def test_row_2_a_status_request_without_a_usable_body_changes_nothing(receiver):
    await set_status(receiver, "paused")
    refusal(await receiver.http.post(STATUS, json={}), 400, "status")
    refusal(
        await receiver.http.post(STATUS, json={"status": "enabled", "reason": 7}), 400, "reason"
    )
    headers = {"Content-Type": "application/json"}
    for content in (b"", b"[]", b'{"status":"enabled","status":"enabled"}'):
        response = await receiver.http.post(STATUS, content=content, headers=headers)
        assert response.status_code == 400, content
    plain = await receiver.http.post(STATUS, content=b"status=enabled")
    assert plain.status_code == 415
    assert await read_status(receiver) == {"status": "paused"}


async def test_row_4_status_is_404_without_a_stream_when_none_is_provided(not_providing):
    receiver = await not_providing.add_receiver()
    refusal(await receiver.http.get(STATUS), 404)
    refusal(await receiver.http.post(STATUS, json={"status": "paused"}), 404)
    assert (await receiver.http.get("/ssf/v1/streams")).json() == []


async def test_row_4_the_default_stream_is_enabled_and_is_made_by_setting_its_status(transmitter):
    receiver = await transmitter.add_receiver()
    assert await read_status(receiver) == {"status": "enabled"}
    assert (await receiver.http.get("/ssf/v1/streams")).json() == [], "reading makes no stream"
    await set_status(receiver, "paused")
    assert await read_status(receiver) == {"status": "paused"}
    assert len((await receiver.http.get("/ssf/v1/streams")).json()) == 1


async def test_row_4_status_takes_the_scopes_of_ssf_1_0(transmitter, receiver):
    reading = await with_scopes(transmitter, receiver, Scope.SSF_READ)
    assert (await reading.get(STATUS)).status_code == 200
    refused = await reading.post(STATUS, content=b"not even json")
    assert refused.status_code == 403
    assert 'scope="ssf.manage"' in refused.headers["www-authenticate"]
    polling = await with_scopes(transmitter, receiver, Scope.SSF_MANAGE_POLL)
    assert (await polling.get(STATUS)).status_code == 403
    managing = await with_scopes(transmitter, receiver, Scope.SSF_MANAGE)
    assert (await managing.get(STATUS)).status_code == 200
    assert (await managing.post(STATUS, json={"status": "paused"})).status_code == 200
    assert (await transmitter.anonymous.get(STATUS)).status_code == 401


async def test_row_4_the_status_of_another_receivers_stream_is_not_touched(transmitter, receiver):
    other = await transmitter.add_receiver()
    await configure(other)
    await set_status(other, "disabled")
    assert await read_status(receiver) == {"status": "enabled"}


async def test_row_2_paused_holds_and_enabled_hands_out_what_was_held(transmitter, receiver):
    await set_status(receiver, "paused")
    await transmitter.emit()
    assert await poll(receiver) == {}
    await set_status(receiver, "enabled")
    assert (await the_one_set(receiver))["sub_id"] == SUBJECT


async def test_row_2_disabled_drops_what_waits_and_what_comes(transmitter, receiver):
    await transmitter.emit()
    await set_status(receiver, "disabled")
    assert (await transmitter.emit())["matched"] == 0
    await set_status(receiver, "enabled")
    assert await poll(receiver) == {}


# ------------------------------------------------------------------ §2 how SETs look


async def test_row_2_the_event_subject_is_inside_of_the_event_too(transmitter, receiver):
    await transmitter.emit(payload={"initiating_entity": "admin"})
    claims = await the_one_set(receiver)
    assert claims["sub_id"] == SUBJECT
    assert claims["events"] == {SESSION_REVOKED: {"subject": SUBJECT, "initiating_entity": "admin"}}
    assert not {"sub", "exp"} & claims.keys()


async def test_row_2_a_stream_of_ssf_1_0_has_the_subject_outside_only(transmitter):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    claims = await the_one_set(receiver)
    assert claims["events"] == {SESSION_REVOKED: {}}


@pytest.mark.parametrize("subject_in_event", [True, False])
async def test_row_2_the_operator_may_say_where_the_subject_is(transmitter, subject_in_event):
    receiver = await transmitter.add_receiver(subject_in_event=subject_in_event)
    await configure(receiver)
    other = await transmitter.add_receiver(subject_in_event=subject_in_event)
    await other.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    for one in (receiver, other):
        events = (await the_one_set(one))["events"]
        assert events == {SESSION_REVOKED: {"subject": SUBJECT} if subject_in_event else {}}


async def test_row_2_the_format_is_that_of_the_subject(transmitter, receiver):
    await configure(receiver, format="iss_sub")
    await transmitter.emit(subject=ALIASES)
    claims = await the_one_set(receiver)
    assert claims["sub_id"] == ISS_SUB
    assert claims["events"] == {SESSION_REVOKED: {"subject": ISS_SUB}}


async def test_row_2_a_format_that_is_set_later_holds_for_what_waits(transmitter, receiver, clock):
    await transmitter.emit(subject=ALIASES)
    assert (await the_one_set(receiver))["sub_id"] == ALIASES
    await configure(receiver, format="email")
    clock.advance(31)
    assert (await the_one_set(receiver))["sub_id"] == SUBJECT
    await configure(receiver)
    clock.advance(31)
    assert (await the_one_set(receiver))["sub_id"] == ALIASES


async def test_row_2_push_and_poll_make_the_same_of_an_event(
    transmitter, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver()
    delivery = {"method": OLD_PUSH, "endpoint_url": push_receiver.url}
    await configure(receiver, format="email", delivery=delivery)
    await transmitter.emit(subject={"format": "complex", "user": ALIASES, "device": OPAQUE})
    await transmitter.deliver()
    [pushed] = push_receiver.pushed
    expected = {"format": "complex", "user": SUBJECT, "device": OPAQUE}
    claims = claims_of(pushed.body)
    assert claims["sub_id"] == expected
    assert claims["events"] == {SESSION_REVOKED: {"subject": expected}}


@pytest.mark.parametrize(
    ("fallback", "expected"), [("most_private", ISS_SUB), ("send_as_is", ALIASES)]
)
async def test_row_2_a_format_that_cannot_be_made_falls_back_as_configured(
    database, clock, fallback, expected
):
    async with running_transmitter(database, clock, sse_format_fallback=fallback) as transmitter:
        receiver = await transmitter.add_receiver()
        await configure(receiver, format="phone_number")
        await transmitter.emit(subject=ALIASES)
        assert (await the_one_set(receiver))["sub_id"] == expected


async def test_row_2_with_drop_what_waited_before_the_wish_is_sent_most_private(database, clock):
    async with running_transmitter(database, clock, sse_format_fallback="drop") as transmitter:
        receiver = await transmitter.add_receiver()
        await configure(receiver)
        await transmitter.emit(subject=ALIASES)
        await configure(receiver, format="phone_number")
        assert (await the_one_set(receiver))["sub_id"] == ISS_SUB


@pytest.mark.parametrize("legacy_event_uris", [True, False])
async def test_row_2_the_verification_event_has_the_uri_that_was_agreed(
    transmitter, legacy_event_uris
):
    receiver = await transmitter.add_receiver(legacy_event_uris=legacy_event_uris)
    await configure(receiver, format="email")
    assert (await receiver.http.post(VERIFY, json={"state": "s"})).status_code == 204
    claims = await the_one_set(receiver)
    uri = f"{LEGACY}/verification" if legacy_event_uris else VERIFICATION
    assert claims["events"] == {uri: {"state": "s"}}
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    assert claims["sub_id"] == {"format": "opaque", "id": stream["stream_id"]}


async def test_row_2_legacy_event_uris_leave_the_events_of_others_alone(transmitter):
    receiver = await transmitter.add_receiver(legacy_event_uris=True)
    await configure(receiver)
    await transmitter.emit()
    assert list((await the_one_set(receiver))["events"]) == [SESSION_REVOKED]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"user": SUBJECT, "device": OPAQUE}, {"format": "complex", "user": SUBJECT, "device": OPAQUE}),
        ({"format": "iss-sub", "iss": "https://i.example", "sub": "1"},
         {"format": "iss_sub", "iss": "https://i.example", "sub": "1"}),
        ({"format": "jwt-id", "iss": "https://i.example", "jti": "1"},
         {"format": "jwt_id", "iss": "https://i.example", "jti": "1"}),
        ({"format": "saml-assertion-id", "issuer": "https://i.example", "assertion_id": "1"},
         {"format": "saml_assertion_id", "issuer": "https://i.example", "assertion_id": "1"}),
        ({"format": "phone", "phone_number": "+12065550100"},
         {"format": "phone_number", "phone_number": "+12065550100"}),
        ({"subject_type": "email", "email": "user@example.com"}, SUBJECT),
    ],
)  # fmt: skip
async def test_row_2_old_spellings_of_subjects_are_taken_and_never_sent(
    transmitter, receiver, old, new
):
    await transmitter.emit(subject=old)
    claims = await the_one_set(receiver)
    assert claims["sub_id"] == new
    assert claims["events"] == {SESSION_REVOKED: {"subject": new}}


# ------------------------------------------------------------------ §2 errors, §4 delete


async def test_row_2_set_data_is_an_error_that_settles_a_set_by_poll(transmitter, receiver):
    await receiver.http.post(VERIFY, json={"state": "s"})
    [jti] = await poll(receiver)
    errors = {jti: {"err": "setData", "description": "not the state that was sent"}}
    assert await poll(receiver, setErrs=errors) == {}
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "dead"


async def test_row_2_set_data_is_an_error_that_settles_a_set_by_push(transmitter, push_receiver):
    receiver = await transmitter.add_receiver()
    await configure(receiver, delivery={"method": OLD_PUSH, "endpoint_url": push_receiver.url})
    body = json.dumps({"err": "setData", "description": "not the state that was sent"}).encode()
    headers = {"Content-Type": "application/json"}
    push_receiver.answer = lambda _: Answer(status=400, body=body, headers=headers)
    await receiver.http.post(VERIFY, json={"state": "s"})
    await transmitter.deliver()
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("dead", 1)


async def test_row_4_delete_keeps_the_audience_and_forgets_the_status_and_the_format(
    transmitter,
):
    receiver = await transmitter.add_receiver(audience=["https://a.example", "https://b.example"])
    await configure(receiver, format="email")
    await set_status(receiver, "paused")
    assert (await receiver.http.delete(STREAM)).status_code == 200
    shown = (await receiver.http.get(STREAM)).json()
    assert shown["aud"] == ["https://a.example", "https://b.example"]
    assert "format" not in shown
    assert await read_status(receiver) == {"status": "enabled"}

"""`/sse/v1/stream`: read, replace, reset (SSE 1.0, implementer's draft 1, §7.1.1).

The table of replace semantics is walked cell by cell. After every refused request the stream is
read again through both profiles: it must be what it was.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from ssf.protocol.subject_formats import FORMAT_NAMES
from ssf.rules.access import Scope
from ssf.store import receivers as receiver_rows
from ssf.store import schema
from ssf.store import streams as stream_rows
from ssf.store.database import Database
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    EVERYTHING_ON_OFFER,
    ISSUER,
    POLL,
    PUSH,
    SESSION_REVOKED,
    TOKEN_CLAIMS_CHANGE,
    ReceiverUnderTest,
    TransmitterUnderTest,
    client_of,
    running_transmitter,
)
from tests.fakes import Answer

STREAM = "/sse/v1/stream"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
OLD_POLL = "https://schemas.openid.net/secevent/risc/delivery-method/poll"
URL = "https://receiver.example.com/events"
POLL_URL = f"{ISSUER}/sse/v1/poll"

U1, U2, U3 = SESSION_REVOKED, CREDENTIAL_CHANGE, TOKEN_CLAIMS_CHANGE
U4 = "https://events.example.com/nobody-offers-this"

PUSHED = {"method": OLD_PUSH, "endpoint_url": URL}
READ_ONLY = ("iss", "aud", "events_supported", "events_delivered", "min_verification_interval")
KNOWN_MEMBERS = {*READ_ONLY, "events_requested", "delivery", "format"}


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver that is offered {1,2,3} and has requested [2], format email, pushed."""
    added = await transmitter.add_receiver(events_supported=[U1, U2, U3])
    await configure(added)
    return added


@pytest.fixture
async def to_the_letter(database, clock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter to which a missing required property means delete."""
    async with running_transmitter(database, clock, sse_missing_required="delete") as running:
        yield running


@pytest.fixture
async def not_providing(database, clock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter that shows no default stream to a receiver that has none."""
    async with running_transmitter(database, clock, sse_auto_provision=False) as running:
        yield running


def each(*values: Any) -> tuple[Any, ...]:
    """JSON values of any kind."""
    return values


async def configure(receiver: ReceiverUnderTest, **changes: Any) -> dict[str, Any]:
    body = {"events_requested": [U2], "delivery": PUSHED, "format": "email", **changes}
    return await accepted(receiver, body)


async def read(receiver: ReceiverUnderTest) -> dict[str, Any]:
    response = await receiver.http.get(STREAM)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def read_all(receiver: ReceiverUnderTest) -> list[dict[str, Any]]:
    """Its streams as SSF 1.0 shows them."""
    response = await receiver.http.get("/ssf/v1/streams")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


async def accepted(receiver: ReceiverUnderTest, body: dict[str, Any]) -> dict[str, Any]:
    """POSTs; the answer must be the full configuration, as GET shows it afterwards."""
    response = await receiver.http.post(STREAM, json=body)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    assert shown == await read(receiver)
    return shown


async def refused(
    receiver: ReceiverUnderTest, body: Any, *, status: int = 400, **request: Any
) -> dict[str, Any]:
    """POSTs what must be refused; nothing may have changed, in either profile."""
    before = await read(receiver), await read_all(receiver)
    sent = request or {"json": body}
    response = await receiver.http.post(STREAM, **sent)
    assert response.status_code == status, (body, response.text)
    assert (await read(receiver), await read_all(receiver)) == before, body
    answer: dict[str, Any] = response.json()
    assert set(answer) <= {"err", "description", "field"}
    assert answer["err"]
    assert answer["description"]
    return answer


async def refused_field(receiver: ReceiverUnderTest, body: Any) -> str | None:
    return (await refused(receiver, body)).get("field")


async def body_of(receiver: ReceiverUnderTest, *left_out: str, **changes: Any) -> dict[str, Any]:
    """What the receiver reads now, with these members changed or left out."""
    body = {**await read(receiver), **changes}
    return {name: value for name, value in body.items() if name not in left_out}


async def with_scopes(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, *scopes: Scope
) -> httpx.AsyncClient:
    """A client of the same receiver whose token is good for these scopes only."""
    token = secrets.token_hex()
    async with transmitter.database.transaction() as transaction:
        row = await receiver_rows.find_receiver(
            transaction, project_id=1, client_id=receiver.client_id
        )
        assert row is not None
        await receiver_rows.add_access_token(
            transaction,
            receiver_id=row.id,
            token_hash=sha256(token.encode()).digest(),
            scopes=frozenset(scopes),
            now=0,
        )
    return await transmitter.stack.enter_async_context(client_of(transmitter.built, token))


# ------------------------------------------------------------------ GET


async def test_the_first_get_shows_the_default_configuration(transmitter):
    receiver = await transmitter.add_receiver()
    assert await read(receiver) == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": EVERYTHING_ON_OFFER,
        "events_requested": [],
        "events_delivered": [],
        "delivery": {"method": OLD_POLL, "endpoint_url": POLL_URL},
        "min_verification_interval": 60,
    }


async def test_reading_makes_no_stream_and_shows_the_same_again(transmitter):
    receiver = await transmitter.add_receiver()
    assert await read(receiver) == await read(receiver)
    assert await read_all(receiver) == []


async def test_get_shows_the_whole_configuration_and_no_more(receiver):
    assert await read(receiver) == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": [U1, U2, U3],
        "events_requested": [U2],
        "events_delivered": [U2],
        "delivery": PUSHED,
        "min_verification_interval": 60,
        "format": "email",
    }


async def test_an_unset_format_is_omitted_and_an_empty_array_is_shown(receiver):
    shown = await configure(receiver, events_requested=[], format=None)
    assert "format" not in shown
    assert (shown["events_requested"], shown["events_delivered"]) == ([], [])


async def test_several_audiences_are_shown_as_an_array(transmitter):
    receiver = await transmitter.add_receiver(audience=["https://a.example", "urn:b"])
    assert (await read(receiver))["aud"] == ["https://a.example", "urn:b"]


async def test_answers_are_json_that_no_cache_keeps(receiver):
    for response in (
        await receiver.http.get(STREAM),
        await receiver.http.post(STREAM, json=await read(receiver)),
        await receiver.http.post(STREAM, json={}),
    ):
        assert response.headers["content-type"].partition(";")[0] == "application/json"
        assert response.headers["cache-control"] == "no-store"


async def test_without_auto_provision_a_receiver_without_a_stream_gets_404(not_providing):
    receiver = await not_providing.add_receiver()
    for response in (
        await receiver.http.get(STREAM),
        await receiver.http.post(STREAM, json={"events_requested": [], "delivery": PUSHED}),
        await receiver.http.delete(STREAM),
    ):
        assert response.status_code == 404
        assert response.json()["err"] == "not_found"
    assert await read_all(receiver) == []


# ------------------------------------------------------------------ iss


async def test_a_missing_iss_has_no_effect(receiver):
    before = await read(receiver)
    assert await accepted(receiver, await body_of(receiver, "iss")) == before


async def test_a_null_iss_is_refused(receiver):
    assert await refused_field(receiver, await body_of(receiver, iss=None)) == "iss"


async def test_the_stored_iss_is_accepted(receiver):
    before = await read(receiver)
    assert await accepted(receiver, await body_of(receiver, iss=ISSUER)) == before


async def test_post_refuses_another_iss_and_changes_nothing(receiver):
    for other in each("https://other.example", f"{ISSUER}/", ISSUER.upper(), "", 1, {}, [ISSUER]):
        body = await body_of(receiver, iss=other, events_requested=[U1])
        assert await refused_field(receiver, body) == "iss"


# ------------------------------------------------------------------ aud


async def test_a_missing_aud_has_no_effect(receiver):
    before = await read(receiver)
    assert await accepted(receiver, await body_of(receiver, "aud")) == before


async def test_a_null_aud_is_refused(receiver):
    assert await refused_field(receiver, await body_of(receiver, aud=None)) == "aud"


async def test_an_aud_is_equal_as_a_set_and_a_string_equals_an_array_of_it(receiver):
    before = await read(receiver)
    for same in (AUDIENCE, [AUDIENCE], [AUDIENCE, AUDIENCE]):
        assert await accepted(receiver, await body_of(receiver, aud=same)) == before


async def test_several_audiences_are_equal_in_any_order(transmitter):
    receiver = await transmitter.add_receiver(audience=["urn:a", "urn:b"])
    before = await configure(receiver)
    body = await body_of(receiver, aud=["urn:b", "urn:a"])
    assert await accepted(receiver, body) == before
    for other in (["urn:a"], "urn:a", ["urn:a", "urn:b", "urn:c"], []):
        body = await body_of(receiver, aud=other)
        assert await refused_field(receiver, body) == "aud"


async def test_post_refuses_another_aud_and_changes_nothing(receiver):
    for other in each(
        "https://other.example", [AUDIENCE, "urn:b"], [], "", 1, {}, [1], [[AUDIENCE]]
    ):
        body = await body_of(receiver, aud=other, events_requested=[U1])
        assert await refused_field(receiver, body) == "aud"


# ------------------------------------------------------------------ events_supported


async def test_missing_events_supported_have_no_effect(receiver):
    before = await read(receiver)
    assert await accepted(receiver, await body_of(receiver, "events_supported")) == before


async def test_null_events_supported_are_refused(receiver):
    body = await body_of(receiver, events_supported=None)
    assert await refused_field(receiver, body) == "events_supported"


async def test_events_supported_are_equal_as_a_set(receiver):
    before = await read(receiver)
    for same in ([U3, U2, U1], [U1, U2, U3, U1]):
        assert await accepted(receiver, await body_of(receiver, events_supported=same)) == before


async def test_post_refuses_other_events_supported_and_changes_nothing(receiver):
    for other in each([U1, U2], [U1, U2, U3, U4], [], [U1, U2, 3], U1, {}, 3, [U1, U2, U3.upper()]):
        body = await body_of(receiver, events_supported=other, events_requested=[U1])
        assert await refused_field(receiver, body) == "events_supported"


async def test_one_supported_event_type_is_still_an_array(transmitter):
    receiver = await transmitter.add_receiver(events_supported=[U1])
    await configure(receiver, events_requested=[U1])
    for name in ("events_supported", "events_delivered"):
        body = await body_of(receiver, **{name: U1})
        assert await refused_field(receiver, body) == name


# ------------------------------------------------------------------ events_delivered


async def test_missing_events_delivered_have_no_effect(receiver):
    before = await read(receiver)
    assert await accepted(receiver, await body_of(receiver, "events_delivered")) == before


async def test_null_events_delivered_are_refused(receiver):
    body = await body_of(receiver, events_delivered=None)
    assert await refused_field(receiver, body) == "events_delivered"


async def test_events_delivered_equal_the_value_before_the_update(receiver):
    """Footnote 2: what a client sends that reads, modifies `events_requested`, and replaces."""
    body = await body_of(receiver, events_delivered=[U2], events_requested=[U3, U1])
    shown = await accepted(receiver, body)
    assert shown["events_delivered"] == [U3, U1]
    body = await body_of(receiver, events_delivered=[U1, U3], events_requested=[])
    assert (await accepted(receiver, body))["events_delivered"] == []


async def test_post_refuses_other_events_delivered_and_changes_nothing(receiver):
    for other in each([U3], [U2, U3], [], [2], {}, "", 2, [U2, None]):
        body = await body_of(receiver, events_delivered=other, events_requested=[U3])
        assert await refused_field(receiver, body) == "events_delivered"


# ------------------------------------------------------------------ min_verification_interval


async def test_a_missing_interval_has_no_effect(receiver):
    before = await read(receiver)
    body = await body_of(receiver, "min_verification_interval")
    assert await accepted(receiver, body) == before


async def test_a_null_interval_is_refused(receiver):
    body = await body_of(receiver, min_verification_interval=None)
    assert await refused_field(receiver, body) == "min_verification_interval"


async def test_post_refuses_another_interval_and_changes_nothing(receiver):
    for other in each(61, 0, -60, 60.0, 60.5, "60", "", True, False, [60], {}, 2**70):
        body = await body_of(receiver, min_verification_interval=other, events_requested=[U1])
        assert await refused_field(receiver, body) == "min_verification_interval"


@pytest.mark.parametrize(("interval", "lookalikes"), [(1, (True, 1.0, "1")), (0, (False, 0.0))])
async def test_an_interval_is_no_boolean_no_float_and_no_string(transmitter, interval, lookalikes):
    receiver = await transmitter.add_receiver(min_verification_interval=interval)
    shown = await configure(receiver)
    assert shown["min_verification_interval"] == interval
    for other in lookalikes:
        body = await body_of(receiver, min_verification_interval=other)
        assert await refused_field(receiver, body) == "min_verification_interval"


# ------------------------------------------------------------------ stream_id


async def test_the_receivers_own_stream_id_is_accepted_and_not_shown(receiver):
    [stream] = await read_all(receiver)
    shown = await accepted(receiver, await body_of(receiver, stream_id=stream["stream_id"]))
    assert "stream_id" not in shown


async def test_post_refuses_another_stream_id_with_400_and_changes_nothing(transmitter, receiver):
    other = await transmitter.add_receiver()
    await configure(other)
    [others] = await read_all(other)
    [own] = await read_all(receiver)
    for sent in each(None, "", "nobody's", others["stream_id"], 1, {}, [own["stream_id"]]):
        body = await body_of(receiver, stream_id=sent, events_requested=[U1])
        assert await refused_field(receiver, body) == "stream_id"
    assert await read_all(other) == [others]


# ------------------------------------------------------------------ events_requested


async def test_missing_events_requested_are_refused(receiver):
    """A: 400."""
    body = await body_of(receiver, "events_requested")
    assert await refused_field(receiver, body) == "events_requested"


async def test_missing_events_requested_are_deleted_when_that_is_configured(to_the_letter):
    """B: delete → []."""
    receiver = await to_the_letter.add_receiver(events_supported=[U1, U2, U3])
    before = await configure(receiver)
    shown = await accepted(receiver, await body_of(receiver, "events_requested"))
    assert shown == {**before, "events_requested": [], "events_delivered": []}


async def test_null_events_requested_are_refused(receiver):
    body = await body_of(receiver, events_requested=None)
    assert await refused_field(receiver, body) == "events_requested"


async def test_events_requested_replace_without_repetitions_and_keep_unsupported_ones(receiver):
    before = await read(receiver)
    shown = await accepted(receiver, await body_of(receiver, events_requested=[U4, U3, U4, U1, U3]))
    assert shown == {**before, "events_requested": [U4, U3, U1], "events_delivered": [U3, U1]}


async def test_events_are_compared_character_by_character(receiver):
    lookalikes = [U1.upper(), f"{U1}/", f" {U1}", U1.replace("-", "%2D"), f"{U1}#"]
    shown = await accepted(receiver, await body_of(receiver, events_requested=lookalikes))
    assert (shown["events_requested"], shown["events_delivered"]) == (lookalikes, [])


async def test_post_refuses_bad_events_requested_and_changes_nothing(receiver):
    for bad in each(U1, {}, 1, True, [1], [None], [""], [U1, ""], [[U1]], [{}], ["a\u0000b"]):
        body = await body_of(receiver, events_requested=bad, format="opaque")
        answer = await refused(receiver, body)
        assert "events_requested" in answer.get("field", "events_requested")


# ------------------------------------------------------------------ delivery


async def test_a_missing_delivery_is_refused(receiver):
    """A: 400."""
    assert await refused_field(receiver, await body_of(receiver, "delivery")) == "delivery"


async def test_a_missing_delivery_becomes_poll_when_that_is_configured(to_the_letter):
    """B: delete → default poll."""
    receiver = await to_the_letter.add_receiver()
    before = await configure(receiver, delivery={**PUSHED, "authorization_header": "Bearer x"})
    shown = await accepted(receiver, await body_of(receiver, "delivery"))
    assert shown == {**before, "delivery": {"method": OLD_POLL, "endpoint_url": POLL_URL}}


async def test_a_null_delivery_is_refused(receiver):
    assert await refused_field(receiver, await body_of(receiver, delivery=None)) == "delivery"


async def test_null_and_mismatches_are_refused_too_when_missing_means_delete(to_the_letter):
    receiver = await to_the_letter.add_receiver(events_supported=[U1, U2, U3])
    await configure(receiver)
    for name in ("events_requested", "delivery", *READ_ONLY):
        body = await body_of(receiver, **{name: None})
        assert await refused_field(receiver, body) == name
    for name, value in (("aud", "urn:other"), ("format", "catalog_item"), ("delivery", {})):
        body = await body_of(receiver, **{name: value})
        assert str(await refused_field(receiver, body)).startswith(name)


async def test_delivery_is_replaced_whole(receiver):
    before = await configure(receiver, delivery={**PUSHED, "authorization_header": "Bearer x"})
    other = {"method": OLD_PUSH, "endpoint_url": f"{URL}/other"}
    shown = await accepted(receiver, await body_of(receiver, delivery=other))
    assert shown == {**before, "delivery": other}


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param({"method": OLD_PUSH, "endpoint_url": URL}, id="legacy URI"),
        pytest.param({"method": PUSH, "endpoint_url": URL}, id="URN"),
        pytest.param({"delivery_method": OLD_PUSH, "url": URL}, id="aliases, legacy URI"),
        pytest.param({"delivery_method": PUSH, "url": URL}, id="aliases, URN"),
        pytest.param({"method": PUSH, "url": URL}, id="one alias"),
        pytest.param(
            {"method": PUSH, "delivery_method": OLD_PUSH, "endpoint_url": URL, "url": URL},
            id="both names in agreement",
        ),
        pytest.param({**PUSHED, "foo": 1, "authorization_header": None}, id="unknown member"),
    ],
)
async def test_push_is_understood_in_every_spelling_and_shown_in_one(receiver, delivery):
    await configure(receiver, delivery={"method": OLD_POLL})
    shown = await accepted(receiver, await body_of(receiver, delivery=delivery))
    assert shown["delivery"] == PUSHED
    [stream] = await read_all(receiver)
    assert stream["delivery"] == {"method": PUSH, "endpoint_url": URL}


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param({"method": OLD_POLL}, id="legacy URI"),
        pytest.param({"method": POLL}, id="URN"),
        pytest.param({"delivery_method": OLD_POLL}, id="alias"),
        pytest.param({"method": OLD_POLL, "endpoint_url": None}, id="URL null"),
        pytest.param({"method": OLD_POLL, "endpoint_url": POLL_URL}, id="URL echoed"),
        pytest.param({"delivery_method": OLD_POLL, "url": POLL_URL}, id="URL echoed as url"),
        pytest.param({"method": OLD_POLL, "foo": None}, id="unknown member"),
    ],
)
async def test_poll_is_understood_in_every_spelling_and_its_url_appears_at_once(receiver, delivery):
    shown = await accepted(receiver, await body_of(receiver, delivery=delivery))
    assert shown["delivery"] == {"method": OLD_POLL, "endpoint_url": POLL_URL}
    [stream] = await read_all(receiver)
    assert stream["delivery"] == {
        "method": POLL,
        "endpoint_url": f"{ISSUER}/ssf/v1/poll/{stream['stream_id']}",
    }


async def test_post_refuses_a_bad_delivery_and_changes_nothing(receiver):
    for bad in each(
        [],
        "push",
        1,
        {},
        {"endpoint_url": URL},
        {"method": None, "endpoint_url": URL},
        {"method": 1, "endpoint_url": URL},
        {"method": "push", "endpoint_url": URL},
        {"method": OLD_PUSH.upper(), "endpoint_url": URL},
        {"method": f"{PUSH} ", "endpoint_url": URL},
    ):
        body = await body_of(receiver, delivery=bad, events_requested=[U1])
        assert str(await refused_field(receiver, body)).startswith("delivery")


async def test_post_refuses_contradicting_aliases_and_changes_nothing(receiver):
    for bad in (
        {"method": OLD_PUSH, "delivery_method": OLD_POLL, "endpoint_url": URL},
        {"method": POLL, "delivery_method": PUSH, "endpoint_url": URL},
        {"method": OLD_PUSH, "delivery_method": "push", "endpoint_url": URL},
        {"method": OLD_PUSH, "endpoint_url": URL, "url": f"{URL}/other"},
        {"method": OLD_POLL, "endpoint_url": POLL_URL, "url": URL},
    ):
        body = await body_of(receiver, delivery=bad, events_requested=[U1])
        assert str(await refused_field(receiver, body)).startswith("delivery")


async def test_post_refuses_push_without_a_usable_url_and_changes_nothing(database, clock):
    async with running_transmitter(
        database, clock, allow_http=False, egress_allow=""
    ) as transmitter:
        receiver = await transmitter.add_receiver(events_supported=[U1, U2, U3])
        await configure(receiver)
        for bad in (
            None,
            "",
            1,
            "events",
            "/events",
            "//receiver.example.com/events",
            "receiver.example.com/events",
            "http://receiver.example.com/events",
            "ftp://receiver.example.com/events",
            "https://",
            "https:///events",
            f"{URL}#fragment",
            f"{URL}#",
            "https://user:password@receiver.example.com/events",
            "https://receiver.example.com/a b",
            "https://receiver.example.com\\events",
            "https://127.0.0.1/events",
            "https://[::1]/events",
            "https://localhost/events",
            "https://169.254.169.254/latest/meta-data",
        ):
            body = await body_of(
                receiver, delivery={"method": OLD_PUSH, "endpoint_url": bad}, format="opaque"
            )
            assert await refused_field(receiver, body) == "delivery.endpoint_url", bad
        body = await body_of(receiver, delivery={"method": OLD_PUSH})
        assert await refused_field(receiver, body) == "delivery.endpoint_url"


async def test_post_refuses_a_poll_url_that_is_not_the_one_shown_and_changes_nothing(receiver):
    """Poll: `endpoint_url` is transmitter-supplied; present must match, else 400."""
    for other in (
        URL,
        f"{POLL_URL}/",
        f"{POLL_URL}?a=b",
        f"{ISSUER}/ssf/v1/poll/0123456789abcdef0123456789abcdef",
        "/sse/v1/poll",
        "",
        1,
    ):
        body = await body_of(receiver, delivery={"method": OLD_POLL, "endpoint_url": other})
        assert await refused_field(receiver, body) == "delivery.endpoint_url"


async def test_post_refuses_an_authorization_header_with_poll_and_changes_nothing(receiver):
    delivery = {"method": OLD_POLL, "authorization_header": "Bearer x"}
    body = await body_of(receiver, delivery=delivery)
    assert await refused_field(receiver, body) == "delivery.authorization_header"


async def test_an_authorization_header_is_read_back_and_deleted_when_left_out(receiver):
    secret = "Bearer s3cret"
    for absent in ({}, {"authorization_header": None}):
        shown = await configure(receiver, delivery={**PUSHED, "authorization_header": secret})
        assert shown["delivery"] == {**PUSHED, "authorization_header": secret}
        assert (await accepted(receiver, shown))["delivery"]["authorization_header"] == secret
        shown = await configure(receiver, delivery={**PUSHED, **absent})
        assert shown["delivery"] == PUSHED
    [stream] = await read_all(receiver)
    assert "authorization_header" not in stream["delivery"]


async def test_post_refuses_a_header_that_could_not_be_sent_and_does_not_quote_it(receiver):
    for bad in ("hunter2\r\nX-Evil: 1", "hunter2\n", " hunter2", "hunter2\u0000", "h\u00fcnter2"):
        body = await body_of(receiver, delivery={**PUSHED, "authorization_header": bad})
        answer = await refused(receiver, body)
        assert "hunter2" not in json.dumps(answer)
    for bad in each(1, {}, [], True, ""):
        body = await body_of(receiver, delivery={**PUSHED, "authorization_header": bad})
        assert await refused_field(receiver, body) == "delivery.authorization_header"


async def test_pushes_carry_the_header_as_long_as_it_is_there(transmitter, push_receiver):
    receiver = await transmitter.add_receiver()
    delivery = {"method": OLD_PUSH, "endpoint_url": push_receiver.url}
    for authorization in ("Bearer one", "Basic dHdv", None):
        given_now = {} if authorization is None else {"authorization_header": authorization}
        await configure(receiver, delivery={**delivery, **given_now})
        await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
        await transmitter.deliver()
        assert push_receiver.pushed[-1].headers.get("authorization") == authorization
    assert len(push_receiver.pushed) == 3


# ------------------------------------------------------------------ format


async def test_a_missing_format_is_deleted(receiver):
    before = await read(receiver)
    shown = await accepted(receiver, await body_of(receiver, "format"))
    assert shown == {name: value for name, value in before.items() if name != "format"}


async def test_a_null_format_is_deleted(receiver):
    assert "format" not in await accepted(receiver, await body_of(receiver, format=None))


async def test_a_missing_format_is_deleted_also_when_missing_means_delete(to_the_letter):
    receiver = await to_the_letter.add_receiver()
    assert (await configure(receiver))["format"] == "email"
    assert "format" not in await accepted(receiver, await body_of(receiver, "format"))


async def test_a_format_is_replaced_by_any_that_we_know(receiver):
    before = await read(receiver)
    for name in sorted(FORMAT_NAMES):
        shown = await accepted(receiver, await body_of(receiver, format=name))
        assert shown == {**before, "format": name}


async def test_subject_type_is_an_old_name_of_format_on_input_only(receiver):
    body = await body_of(receiver, "format", subject_type="iss-sub")
    shown = await accepted(receiver, body)
    assert shown["format"] == "iss_sub"
    assert "subject_type" not in shown


async def test_post_refuses_a_bad_format_and_changes_nothing(receiver):
    for bad in each(1, 0, True, False, [], ["email"], {}, "", "Email", "catalog_item"):
        body = await body_of(receiver, format=bad, events_requested=[U1])
        assert await refused_field(receiver, body) == "format"


# ------------------------------------------------------------------ any other member


async def test_other_members_are_ignored_not_stored_and_not_echoed(receiver):
    before = await read(receiver), await read_all(receiver)
    for value in (None, 1, "text", [1], {"a": None}):
        others = dict.fromkeys(
            ("foo", "description", "inactivity_timeout", "status", "spec_version", "reason"), value
        )
        assert await accepted(receiver, await body_of(receiver, **others)) == before[0]
    assert await read_all(receiver) == before[1]


# ------------------------------------------------------------------ the example rows


async def example(receiver: ReceiverUnderTest, **body: Any) -> dict[str, Any]:
    """Sends a row of the examples (delivery given) and returns what is shown then."""
    return await accepted(receiver, {"delivery": PUSHED, **body})


async def test_example_requested_2_3_4_3_delivered_2_format_email(receiver):
    shown = await example(
        receiver, events_requested=[U2, U3, U4, U3], events_delivered=[U2], format="email"
    )
    assert shown["events_requested"] == [U2, U3, U4]
    assert set(shown["events_delivered"]) == {U2, U3}
    assert shown["format"] == "email"


async def test_example_requested_2_3_without_format(receiver):
    shown = await example(receiver, events_requested=[U2, U3])
    assert "format" not in shown
    assert shown["events_requested"] == [U2, U3]


async def test_example_requested_3_delivered_3_is_refused(receiver):
    body = {"delivery": PUSHED, "events_requested": [U3], "events_delivered": [U3]}
    assert await refused_field(receiver, body) == "events_delivered"


async def test_example_requested_2_aud_other_is_refused(receiver):
    body = {"delivery": PUSHED, "events_requested": [U2], "aud": "https://other.example"}
    assert await refused_field(receiver, body) == "aud"


async def test_example_requested_2_supported_3_2_1(receiver):
    shown = await example(receiver, events_requested=[U2], events_supported=[U3, U2, U1])
    assert shown["events_supported"] == [U1, U2, U3]
    assert shown["events_delivered"] == [U2]


async def test_example_requested_nothing_and_foo(receiver):
    shown = await example(receiver, events_requested=[], foo=1)
    assert (shown["events_requested"], shown["events_delivered"]) == ([], [])
    assert set(shown) <= KNOWN_MEMBERS


async def test_example_only_format_is_refused(receiver):
    """A: 400."""
    assert await refused_field(receiver, {"format": "email"}) in ("events_requested", "delivery")
    assert await refused_field(receiver, {}) in ("events_requested", "delivery")


async def test_example_only_format_resets_the_rest_when_missing_means_delete(to_the_letter):
    """B: 200, poll, []."""
    receiver = await to_the_letter.add_receiver(events_supported=[U1, U2, U3])
    before = await configure(receiver, format="opaque")
    reset = {
        **before,
        "events_requested": [],
        "events_delivered": [],
        "delivery": {"method": OLD_POLL, "endpoint_url": POLL_URL},
        "format": "email",
    }
    assert await accepted(receiver, {"format": "email"}) == reset
    del reset["format"]
    assert await accepted(receiver, {}) == reset


# ------------------------------------------------------------------ order of checks

OPERATIONS = ("GET", "POST", "DELETE")


async def test_1_without_a_token_everything_is_401_even_with_a_broken_body(transmitter, receiver):
    before = await read(receiver)
    for method in OPERATIONS:
        response = await transmitter.anonymous.request(method, STREAM, content=b"{")
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        response = await transmitter.anonymous.request(
            method, STREAM, content=b"{", headers={"Authorization": "Bearer nobody"}
        )
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert await read(receiver) == before


async def test_2_a_token_for_something_else_is_403_before_the_body_is_read(transmitter, receiver):
    before = await read(receiver)
    poll_only = await with_scopes(transmitter, receiver, Scope.SSF_MANAGE_POLL)
    for client in (poll_only, transmitter.http):
        for method in OPERATIONS:
            response = await client.request(method, STREAM, content=b"{")
            assert response.status_code == 403
            challenge = response.headers["www-authenticate"]
            assert 'error="insufficient_scope"' in challenge
            assert 'scope="ssf.' in challenge
    assert await read(receiver) == before


async def test_2_a_token_for_reading_reads_and_changes_nothing(transmitter, receiver):
    before = await read(receiver)
    reader = await with_scopes(transmitter, receiver, Scope.SSF_READ)
    assert (await reader.get(STREAM)).json() == before
    body = {**before, "events_requested": [U1]}
    for response in (await reader.post(STREAM, json=body), await reader.delete(STREAM)):
        assert response.status_code == 403
        assert 'scope="ssf.manage"' in response.headers["www-authenticate"]
    assert await read(receiver) == before


async def test_2_a_token_for_managing_does_everything(transmitter, receiver):
    manager = await with_scopes(transmitter, receiver, Scope.SSF_MANAGE)
    shown = (await manager.get(STREAM)).json()
    assert (await manager.post(STREAM, json=shown)).json() == shown
    assert (await manager.delete(STREAM)).status_code == 200


async def test_3_a_body_that_is_not_called_json_is_415(receiver):
    good = json.dumps(await read(receiver)).encode()
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/secevent+jwt"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ):
        await refused(receiver, headers, status=415, content=good, headers=headers)


async def test_3_a_json_body_may_name_its_charset(receiver):
    before = await read(receiver)
    response = await receiver.http.post(
        STREAM,
        content=json.dumps(before),
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )
    assert (response.status_code, response.json()) == (200, before)


async def test_3_a_body_that_is_no_unambiguous_json_object_is_400(receiver):
    good = json.dumps(await read(receiver))
    for bad in (
        b"",
        b"{",
        b"null",
        b"[]",
        b"[{}]",
        b'"text"',
        b"1",
        good.encode() + b"}",
        good.encode("utf-16"),
        b"\xef\xbb\xbf" + good.encode(),
        b'{"format":"\xff"}',
        b'{"format":"email","format":"opaque",' + good.encode()[1:],
        b'{"delivery":{"method":1,"method":2},' + good.encode()[1:],
        b'{"foo":NaN,' + good.encode()[1:],
        b'{"foo":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ):
        headers = {"Content-Type": "application/json"}
        await refused(receiver, bad, status=400, content=bad, headers=headers)


async def test_4_a_broken_body_is_noticed_before_the_missing_stream(not_providing):
    receiver = await not_providing.add_receiver()
    headers = {"Content-Type": "application/json"}
    response = await receiver.http.post(STREAM, content=b"{", headers=headers)
    assert response.status_code == 400
    response = await receiver.http.post(STREAM, content=b"{}")
    assert response.status_code == 415


async def test_4_the_missing_stream_is_noticed_before_any_property(not_providing):
    receiver = await not_providing.add_receiver()
    for body in ({}, {"events_requested": 1, "delivery": 1}, {"iss": 1}, {"stream_id": "x"}):
        response = await receiver.http.post(STREAM, json=body)
        assert response.status_code == 404


async def test_5_a_wrong_type_is_noticed_before_another_read_only_value(receiver):
    for name, value in (("events_requested", "x"), ("delivery", 1), ("format", 1)):
        body = await body_of(receiver, aud="urn:other", **{name: value})
        assert await refused_field(receiver, body) == name


async def test_6_another_read_only_value_is_noticed_before_a_bad_editable_one(receiver):
    for name, value in (
        ("delivery", {"method": "urn:other", "endpoint_url": URL}),
        ("delivery", {"method": OLD_PUSH, "endpoint_url": "https://receiver.example.com/#x"}),
        ("format", "catalog_item"),
    ):
        body = await body_of(receiver, aud="urn:other", **{name: value})
        assert await refused_field(receiver, body) == "aud"


async def test_7_a_url_that_we_would_not_call_spoils_everything_else(receiver):
    delivery = {"method": OLD_PUSH, "endpoint_url": "ftp://receiver.example.com/"}
    body = await body_of(receiver, events_requested=[U1], format="opaque", delivery=delivery)
    assert await refused_field(receiver, body) == "delivery.endpoint_url"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_path_takes_get_post_and_delete_only(receiver, method):
    response = await receiver.http.request(method, STREAM, json=await read(receiver))
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "POST", "DELETE"}


# ------------------------------------------------------------------ DELETE


async def test_delete_answers_200_without_a_body_and_resets_to_the_default(transmitter):
    receiver = await transmitter.add_receiver(audience=["urn:a", "urn:b"])
    default = await read(receiver)
    await configure(receiver, delivery={**PUSHED, "authorization_header": "Bearer x"})
    response = await receiver.http.delete(STREAM)
    assert (response.status_code, response.content) == (200, b"")
    assert await read(receiver) == default
    assert await read_all(receiver) == []


async def test_delete_may_be_repeated(receiver):
    for _ in range(3):
        response = await receiver.http.delete(STREAM)
        assert (response.status_code, response.content) == (200, b"")


async def test_delete_of_a_stream_that_never_was_is_200(transmitter):
    receiver = await transmitter.add_receiver()
    assert (await receiver.http.delete(STREAM)).status_code == 200


async def test_without_auto_provision_the_second_delete_is_404(not_providing):
    receiver = await not_providing.add_receiver()
    await receiver.create_stream()
    assert (await receiver.http.delete(STREAM)).status_code == 200
    assert (await receiver.http.delete(STREAM)).status_code == 404
    assert (await receiver.http.get(STREAM)).status_code == 404


async def test_delete_drops_what_waited(transmitter):
    receiver = await transmitter.add_receiver()
    await configure(receiver, delivery={"method": OLD_POLL})
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    await receiver.http.delete(STREAM)
    await configure(receiver, delivery={"method": OLD_POLL})
    assert await poll(receiver) == {}
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "dropped"


async def test_a_stream_can_be_made_again_after_delete(receiver):
    [before] = await read_all(receiver)
    await receiver.http.delete(STREAM)
    shown = await configure(receiver)
    [after] = await read_all(receiver)
    assert after["stream_id"] != before["stream_id"]
    assert shown["delivery"] == PUSHED


# ------------------------------------------------------------------ facade


async def test_a_stream_made_here_is_an_ordinary_one_for_ssf_1_0(receiver):
    [stream] = await read_all(receiver)
    assert stream.pop("stream_id")
    assert stream == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": [U1, U2, U3],
        "events_requested": [U2],
        "events_delivered": [U2],
        "delivery": {"method": PUSH, "endpoint_url": URL},
        "min_verification_interval": 60,
    }


async def test_the_one_stream_made_through_ssf_1_0_is_shown_here_in_old_words(transmitter):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(
        events_requested=[U1, U4],
        delivery={"method": PUSH, "endpoint_url": URL, "authorization_header": "Bearer x"},
        description="Made through SSF 1.0",
    )
    assert await read(receiver) == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": EVERYTHING_ON_OFFER,
        "events_requested": [U1, U4],
        "events_delivered": [U1],
        "delivery": {**PUSHED, "authorization_header": "Bearer x"},
        "min_verification_interval": 60,
    }


async def test_both_profiles_change_the_same_stream(transmitter):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_stream(description="Mine")
    await configure(receiver, events_requested=[U3, U1])
    [stream] = await read_all(receiver)
    assert stream["stream_id"] == created["stream_id"]
    assert stream["events_requested"] == [U3, U1]
    named = {"stream_id": created["stream_id"]}
    await receiver.http.patch("/ssf/v1/streams", json={**named, "events_requested": [U2]})
    assert (await read(receiver))["events_requested"] == [U2]
    await receiver.http.delete("/ssf/v1/streams", params=named)
    assert (await read(receiver))["events_requested"] == []


async def test_post_keeps_the_description_that_this_profile_does_not_know(transmitter):
    receiver = await transmitter.add_receiver()
    await receiver.create_stream(description="Mine")
    for description in ({}, {"description": "Theirs"}, {"description": None}):
        await configure(receiver, **description)
        [stream] = await read_all(receiver)
        assert stream["description"] == "Mine"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_ssf_1_0_keeps_the_format_that_it_does_not_know(receiver, method):
    [stream] = await read_all(receiver)
    assert "format" not in stream
    body = {"stream_id": stream["stream_id"], "description": "Mine", "format": "opaque"}
    response = await receiver.http.request(method, "/ssf/v1/streams", json=body)
    assert response.status_code == 200
    assert "format" not in response.json()
    assert (await read(receiver))["format"] == "email"


@pytest.mark.parametrize("missing_required", ["reject", "delete"])
async def test_what_is_shown_of_a_bare_ssf_1_0_stream_may_be_sent_back(
    database, clock, missing_required
):
    """Read-modify-replace works from the first GET on, whatever was never asked for."""
    async with running_transmitter(
        database, clock, sse_missing_required=missing_required
    ) as transmitter:
        receiver = await transmitter.add_receiver()
        await receiver.create_stream()
        shown = await read(receiver)
        response = await receiver.http.post(STREAM, json=shown)
        assert response.status_code == 200, response.text
        assert response.json() == {**shown, "events_requested": []}


async def test_what_the_default_shows_may_be_sent_back(transmitter):
    receiver = await transmitter.add_receiver()
    shown = await read(receiver)
    assert await accepted(receiver, shown) == shown


async def test_of_several_ssf_1_0_streams_none_is_shown_but_a_default_one(transmitter):
    receiver = await transmitter.add_receiver()
    made = [await receiver.create_stream(description=f"number {n}") for n in range(2)]
    shown = await read(receiver)
    assert shown["delivery"] == {"method": OLD_POLL, "endpoint_url": POLL_URL}
    await configure(receiver)
    streams = await read_all(receiver)
    assert streams[:2] == made
    assert len(streams) == 3
    assert streams[2]["events_requested"] == [U2]
    assert (await receiver.http.delete(STREAM)).status_code == 200
    assert await read_all(receiver) == made
    assert (await receiver.http.delete(STREAM)).status_code == 200
    assert await read_all(receiver) == made


async def test_of_several_ssf_1_0_streams_none_is_shown_without_auto_provision(not_providing):
    receiver = await not_providing.add_receiver()
    made = [await receiver.create_stream() for _ in range(2)]
    for response in (
        await receiver.http.get(STREAM),
        await receiver.http.post(STREAM, json={"events_requested": [], "delivery": PUSHED}),
        await receiver.http.delete(STREAM),
    ):
        assert response.status_code == 404
    assert await read_all(receiver) == made


async def test_the_only_ssf_1_0_stream_is_shown_without_auto_provision(not_providing):
    receiver = await not_providing.add_receiver()
    await receiver.create_stream(events_requested=[U1])
    assert (await read(receiver))["events_requested"] == [U1]
    assert (await configure(receiver))["events_requested"] == [U2]
    assert len(await read_all(receiver)) == 1


async def test_a_stream_made_here_stays_the_one_shown_when_others_are_made(receiver):
    before = await read(receiver)
    await receiver.create_stream(description="another")
    assert await read(receiver) == before


async def test_the_poll_url_of_this_profile_is_none_of_an_ssf_1_0_stream(transmitter):
    """Of several SSF 1.0 streams none is polled there, so it is not the value that was read."""
    receiver = await transmitter.add_receiver()
    first = await receiver.create_stream()
    await receiver.create_stream()
    body = {
        "stream_id": first["stream_id"],
        "delivery": {"method": POLL, "endpoint_url": POLL_URL},
    }
    for method in ("PATCH", "PUT"):
        response = await receiver.http.request(method, "/ssf/v1/streams", json=body)
        assert response.status_code == 400, response.text


async def test_nothing_of_another_receiver_is_touched(transmitter):
    one, other = await transmitter.add_receiver(), await transmitter.add_receiver()
    delivery = {**PUSHED, "authorization_header": "Bearer other"}
    await configure(other, delivery=delivery)
    before = await read(other), await read_all(other)
    await configure(one, events_requested=[U1])
    await refused(one, {"events_requested": 1})
    await one.http.delete(STREAM)
    await one.http.delete(STREAM)
    assert (await read(other), await read_all(other)) == before
    assert (await read(one))["events_requested"] == []


# ------------------------------------------------------------------ effects on events

CHANGED_CREDENTIAL = {"credential_type": "password", "change_type": "update"}


async def poll(receiver: ReceiverUnderTest, **body: Any) -> dict[str, str]:
    response = await receiver.http.post("/sse/v1/poll", json={"returnImmediately": True, **body})
    assert response.status_code == 200, response.text
    sets: dict[str, str] = response.json()["sets"]
    return sets


async def test_types_that_left_stop_for_new_events_and_queued_ones_are_still_delivered(
    transmitter, receiver
):
    await configure(receiver, delivery={"method": OLD_POLL})
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    await configure(receiver, delivery={"method": OLD_POLL}, events_requested=[U1])
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    await transmitter.emit("session-revoked")
    types = [delivery["event_type"] for delivery in await transmitter.deliveries()]
    assert types == [U2, U1]
    assert len(await poll(receiver)) == 2


async def test_types_that_are_not_delivered_are_not_sent(transmitter, receiver):
    await configure(receiver, delivery={"method": OLD_POLL}, events_requested=[U1, U4])
    emitted = await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    assert emitted["matched"] == 0
    assert await poll(receiver) == {}


async def test_undelivered_sets_move_along_from_push_to_poll(transmitter, push_receiver):
    receiver = await transmitter.add_receiver()
    push_receiver.answer = lambda _: Answer(status=500)
    delivery = {"method": OLD_PUSH, "endpoint_url": push_receiver.url}
    await configure(receiver, delivery=delivery)
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    await transmitter.deliver()
    await configure(receiver, delivery={"method": OLD_POLL})
    [jti] = await poll(receiver)
    [delivery] = await transmitter.deliveries()
    assert delivery["jti"] == jti
    assert await transmitter.deliver() == 0


async def test_unpolled_sets_move_along_from_poll_to_push(transmitter, push_receiver):
    receiver = await transmitter.add_receiver()
    await configure(receiver, delivery={"method": OLD_POLL})
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    delivery = {"method": OLD_PUSH, "endpoint_url": push_receiver.url}
    await configure(receiver, delivery=delivery)
    assert await transmitter.deliver() == 1
    assert len(push_receiver.pushed) == 1


async def test_a_refused_change_stops_no_event(transmitter, receiver):
    await configure(receiver, delivery={"method": OLD_POLL})
    await refused(receiver, await body_of(receiver, events_requested=[], aud="urn:other"))
    await transmitter.emit("credential-change", payload=CHANGED_CREDENTIAL)
    assert len(await poll(receiver)) == 1


# ------------------------------------------------------------------ at the same time


async def at_once(*requests: Any) -> list[httpx.Response]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(request) for request in requests]
    return [task.result() for task in running]


def whole_bodies(count: int) -> Iterable[dict[str, Any]]:
    for number in range(count):
        yield {
            "events_requested": [U1, U2, U3][number % 3 :],
            "delivery": {
                "method": OLD_PUSH,
                "endpoint_url": f"{URL}/{number}",
                "authorization_header": f"Bearer {number}",
            },
            "format": ["email", "opaque", "iss_sub"][number % 3],
        }


@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh", "configured"])
async def test_posts_at_the_same_time_give_one_consistent_result(transmitter, is_fresh):
    receiver = await transmitter.add_receiver()
    if not is_fresh:
        await configure(receiver)
    bodies = list(whole_bodies(6))
    answers = await at_once(*(receiver.http.post(STREAM, json=body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len(await read_all(receiver)) == 1
    shown = await read(receiver)
    assert shown in [answer.json() for answer in answers]
    assert {name: shown[name] for name in bodies[0]} in bodies


async def test_of_two_that_modified_the_same_reading_the_second_is_told(transmitter):
    """`events_delivered` doubles as a weak version check."""
    receiver = await transmitter.add_receiver(events_supported=[U1, U2, U3])
    read_by_both = await configure(receiver)
    answers = await at_once(
        receiver.http.post(STREAM, json={**read_by_both, "events_requested": [U1]}),
        receiver.http.post(STREAM, json={**read_by_both, "events_requested": [U3]}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    [winner] = [answer.json() for answer in answers if answer.status_code == 200]
    assert await read(receiver) == winner


async def test_a_post_and_a_delete_at_the_same_time_leave_one_stream_or_none(transmitter):
    receiver = await transmitter.add_receiver()
    default = await read(receiver)
    configured = await configure(receiver)
    for _ in range(3):
        answers = await at_once(
            receiver.http.post(STREAM, json=next(iter(whole_bodies(1)))),
            receiver.http.delete(STREAM),
            receiver.http.delete(STREAM),
        )
        assert [answer.status_code for answer in answers] == [200] * 3
        streams, shown = await read_all(receiver), await read(receiver)
        assert len(streams) <= 1
        assert shown == (answers[0].json() if streams else default)
        assert await configure(receiver) == configured


async def until_a_statement_waits_for_a_lock(database: Database) -> None:
    """On SQLite the writer's lock is taken before anything is read, so there is nothing to do."""
    if database.is_sqlite:
        return
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(20):
        waiting = 0
        while not waiting:
            async with database.reading() as connection:
                waiting = (await connection.execute(query)).scalar_one()


async def test_a_post_loses_no_change_that_was_being_made_through_ssf_1_0(transmitter, receiver):
    database = transmitter.database
    async with asyncio.TaskGroup() as tasks, database.transaction() as transaction:
        await transaction.execute(update(schema.streams).values(description="Made meanwhile"))
        posting = tasks.create_task(receiver.http.post(STREAM, json=next(iter(whole_bodies(1)))))
        await until_a_statement_waits_for_a_lock(database)
    assert posting.result().status_code == 200
    [stream] = await read_all(receiver)
    assert stream["description"] == "Made meanwhile"


async def test_a_post_that_meets_a_deletion_through_ssf_1_0_fails_cleanly_or_starts_anew(
    transmitter, receiver
):
    database = transmitter.database
    async with asyncio.TaskGroup() as tasks, database.transaction() as transaction:
        row = await receiver_rows.find_receiver(
            transaction, project_id=1, client_id=receiver.client_id
        )
        assert row is not None
        [stream] = await stream_rows.list_streams(transaction, row.id)
        await stream_rows.remove_stream(transaction, stream, now=0)
        posting = tasks.create_task(receiver.http.post(STREAM, json=next(iter(whole_bodies(1)))))
        await until_a_statement_waits_for_a_lock(database)
    answer = posting.result()
    assert answer.status_code in (200, 404), answer.text
    streams = await read_all(receiver)
    assert len(streams) == (1 if answer.status_code == 200 else 0)


async def test_a_verification_that_meets_one_through_ssf_1_0_is_too_soon(
    transmitter, receiver, clock
):
    database = transmitter.database
    async with asyncio.TaskGroup() as tasks, database.transaction() as transaction:
        change = update(schema.streams).values(last_verification_at=clock.now())
        await transaction.execute(change)
        verifying = tasks.create_task(receiver.http.post("/sse/v1/verify"))
        await until_a_statement_waits_for_a_lock(database)
    assert verifying.result().status_code == 429


# ------------------------------------------------------------------ read, modify, replace

uris = st.sampled_from([U1, U2, U3, U4, "https://events.example.com/b", "urn:ä"])
uri_lists = st.lists(uris, max_size=6)
headers = st.none() | st.from_regex(r"[!-~]([ -~]{0,10}[!-~])?", fullmatch=True)


@st.composite
def push_deliveries(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sampled_from([("method", "endpoint_url"), ("delivery_method", "url")]))
    header = draw(headers)
    return {
        names[0]: draw(st.sampled_from([PUSH, OLD_PUSH])),
        names[1]: draw(st.sampled_from([URL, f"{URL}/b", "https://rcv.example.com:8443/?q=1"])),
        **({} if header is None else {"authorization_header": header}),
    }


poll_deliveries = st.sampled_from([{"method": method} for method in (POLL, OLD_POLL)])
deliveries = push_deliveries() | poll_deliveries
formats = st.none() | st.sampled_from(sorted(FORMAT_NAMES))
configurations = st.fixed_dictionaries(
    {"events_requested": uri_lists, "delivery": deliveries, "format": formats}
)
changes = st.one_of(
    st.tuples(st.just("events_requested"), uri_lists),
    st.tuples(st.just("delivery"), deliveries),
    st.tuples(st.just("format"), formats),
)


def shown_delivery(sent: dict[str, Any]) -> dict[str, Any]:
    method = sent.get("method", sent.get("delivery_method"))
    if method in (POLL, OLD_POLL):
        return {"method": OLD_POLL, "endpoint_url": POLL_URL}
    shown = {"method": OLD_PUSH, "endpoint_url": sent.get("endpoint_url", sent.get("url"))}
    if "authorization_header" in sent:
        shown["authorization_header"] = sent["authorization_header"]
    return shown


def expected_after(before: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    after = {other: before[other] for other in before if other != name}
    if name == "events_requested":
        asked = list(dict.fromkeys(value))
        delivered = [uri for uri in asked if uri in before["events_supported"]]
        return {**after, "events_requested": asked, "events_delivered": delivered}
    if name == "delivery":
        return {**after, "delivery": shown_delivery(value)}
    return after if value is None else {**after, "format": value}


@contextlib.asynccontextmanager
async def receiver_on_sqlite(path: Any, template: bytes, clock: Any) -> AsyncIterator[Any]:
    path.write_bytes(template)
    database = Database(f"sqlite:///{path}")
    try:
        async with running_transmitter(database, clock) as running:
            added = await running.add_receiver(events_supported=[U1, U2, U3])
            await added.create_stream(description="Mine")
            yield added
    finally:
        await database.close()


@pytest.fixture
async def sqlite_receiver(tmp_path, sqlite_template, clock) -> AsyncIterator[ReceiverUnderTest]:
    """A receiver with one stream, made through SSF 1.0 with a description."""
    async with receiver_on_sqlite(tmp_path / "one.db", sqlite_template, clock) as added:
        yield added


@given(stored=configurations, change=changes)
@settings(max_examples=40)
async def test_reading_modifying_one_property_and_replacing_changes_exactly_that(
    sqlite_receiver, stored, change
):
    name, value = change
    await accepted(sqlite_receiver, stored)
    before = await read(sqlite_receiver)
    [stream_before] = await read_all(sqlite_receiver)
    after = await accepted(sqlite_receiver, {**before, name: value})
    assert after == expected_after(before, name, value)
    [stream] = await read_all(sqlite_receiver)
    kept = ("stream_id", "description", "iss", "aud", "min_verification_interval")
    assert [stream[member] for member in kept] == [stream_before[member] for member in kept]


@given(stored=configurations, name=st.sampled_from(READ_ONLY), change=changes)
@settings(max_examples=25)
async def test_with_one_read_only_property_changed_nothing_is(
    sqlite_receiver, stored, name, change
):
    await accepted(sqlite_receiver, stored)
    before = await read(sqlite_receiver)
    other: Any = 61 if name == "min_verification_interval" else "urn:nobody's"
    body = {**before, change[0]: change[1], name: other}
    assert await refused_field(sqlite_receiver, body) == name

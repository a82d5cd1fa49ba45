"""Adding and removing subjects, over HTTP (SSF 1.0 §8.1.3)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ssf.store.database import Database
from tests.api.test_ssf_poll import poll_response, polled_claims
from tests.api.test_ssf_streams import everything
from tests.clients import (
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock

ADD, REMOVE = "/ssf/v1/subjects:add", "/ssf/v1/subjects:remove"

EMAIL_A: dict[str, Any] = {"format": "email", "email": "a@example.com"}
EMAIL_B: dict[str, Any] = {"format": "email", "email": "b@example.com"}
USER_U: dict[str, Any] = {"format": "iss_sub", "iss": "https://idp.example.com", "sub": "u"}
TENANT_T, DEVICE_D = {"format": "opaque", "id": "t"}, {"format": "opaque", "id": "d"}
GROUP_1, GROUP_2 = {"format": "opaque", "id": "g1"}, {"format": "opaque", "id": "g2"}


def complex_of(**members: Any) -> dict[str, Any]:
    return {"format": "complex", **members}


async def new_stream(
    transmitter: TransmitterUnderTest, default_subjects: str = "NONE"
) -> tuple[ReceiverUnderTest, str]:
    """A receiver with one poll stream for session-revoked."""
    receiver = await transmitter.add_receiver(default_subjects=default_subjects)
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    return receiver, created["stream_id"]


async def add(
    receiver: ReceiverUnderTest, stream_id: Any, subject: Any, **more: Any
) -> httpx.Response:
    body = {"stream_id": stream_id, "subject": subject, **more}
    return await receiver.http.post(ADD, json=body)


async def remove(receiver: ReceiverUnderTest, stream_id: Any, subject: Any) -> httpx.Response:
    return await receiver.http.post(REMOVE, json={"stream_id": stream_id, "subject": subject})


async def must_add(receiver: ReceiverUnderTest, stream_id: str, *subjects: Any) -> None:
    for subject in subjects:
        response = await add(receiver, stream_id, subject)
        assert (response.status_code, response.content) == (200, b""), response.text


async def must_remove(receiver: ReceiverUnderTest, stream_id: str, *subjects: Any) -> None:
    for subject in subjects:
        response = await remove(receiver, stream_id, subject)
        assert (response.status_code, response.content) == (204, b""), response.text


async def is_sent(transmitter: TransmitterUnderTest, subject: Any) -> bool:
    """Whether the only stream there is gets an event about a subject."""
    matched = (await transmitter.emit(subject=subject))["matched"]
    assert matched in (0, 1)
    return bool(matched)


async def listed(transmitter: TransmitterUnderTest, stream_id: str) -> list[dict[str, Any]]:
    """The list as an operator sees it."""
    response = await transmitter.http.get(
        f"/admin/v1/streams/{stream_id}/subjects", params={"limit": 200}
    )
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["subjects"]
    return found


def seen(response: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a receiver can tell two answers apart by."""
    return response.status_code, response.headers.multi_items(), response.content


# ---------------------------------------------------------------- what is said


async def test_t_23_verified_is_true_unless_the_receiver_says_otherwise(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter)
    for more, verified in (({}, True), ({"verified": True}, True), ({"verified": False}, False)):
        assert (await add(receiver, stream_id, EMAIL_A, **more)).status_code == 200
        [one] = await listed(transmitter, stream_id)
        assert one["verified"] is verified
        assert await is_sent(transmitter, EMAIL_A)


@pytest.mark.parametrize("verified", [None, "true", 1, 0, [], {}])
async def test_t_23_verified_of_another_type_is_refused_and_nothing_is_added(
    transmitter: TransmitterUnderTest, verified: Any
):
    receiver, stream_id = await new_stream(transmitter)
    response = await add(receiver, stream_id, EMAIL_A, verified=verified)
    assert response.status_code == 400
    assert response.json()["field"] == "verified"
    assert await listed(transmitter, stream_id) == []


@pytest.mark.parametrize("default_subjects", ["NONE", "ALL"])
async def test_t_24_an_answer_does_not_tell_whether_the_subject_is_known(
    transmitter: TransmitterUnderTest, default_subjects: str
):
    """Known to the stream, known from events only, never heard of: nobody can tell by asking."""
    receiver, stream_id = await new_stream(transmitter, default_subjects)
    known, heard_of, unknown = EMAIL_A, EMAIL_B, {"format": "email", "email": "c@example.com"}
    await must_add(receiver, stream_id, known)
    await transmitter.emit(subject=heard_of)

    removed = [seen(await remove(receiver, stream_id, one)) for one in (known, heard_of, unknown)]
    again = [seen(await remove(receiver, stream_id, one)) for one in (known, heard_of, unknown)]
    await must_add(receiver, stream_id, known)
    added = [seen(await add(receiver, stream_id, one)) for one in (known, heard_of, unknown)]

    assert removed == again == [removed[0]] * 3
    assert added == [added[0]] * 3
    assert (added[0][0], added[0][2]) == (200, b"")
    assert (removed[0][0], removed[0][2]) == (204, b"")


@pytest.mark.parametrize(
    ("added", "event", "expected"),
    [
        pytest.param(EMAIL_A, EMAIL_A, True, id="email a | email a"),
        pytest.param(EMAIL_A, USER_U, False, id="email a | iss_sub of same person"),
        pytest.param(
            complex_of(tenant=TENANT_T), complex_of(tenant=TENANT_T, user=USER_U), True,
            id="{tenant T} | {tenant T, user U}",
        ),
        pytest.param(
            complex_of(user=USER_U, device=DEVICE_D), complex_of(user=USER_U), True,
            id="{user U, device D} | {user U}",
        ),
        pytest.param(
            complex_of(user=USER_U, group=GROUP_1), complex_of(user=USER_U, group=GROUP_2), False,
            id="{user U, group 1} | {user U, group 2}",
        ),
        pytest.param(
            complex_of(device=DEVICE_D), complex_of(user=USER_U), True, id="{device D} | {user U}"
        ),
        pytest.param(USER_U, complex_of(user=USER_U), False, id="simple U | {user U}"),
        pytest.param(complex_of(user=USER_U), USER_U, False, id="{user U} | simple U"),
        pytest.param(
            complex_of(user=USER_U, printer=DEVICE_D), complex_of(user=USER_U), True,
            id="custom member in one only, added",
        ),
        pytest.param(
            complex_of(user=USER_U), complex_of(user=USER_U, printer=DEVICE_D), True,
            id="custom member in one only, event",
        ),
        pytest.param(
            complex_of(printer=DEVICE_D), complex_of(printer=GROUP_1), False,
            id="custom member in both, different",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["10.0.0.1", "10.0.0.2"]},
            {"format": "ip-addresses", "ip-addresses": ["10.0.0.2", "10.0.0.1"]}, True,
            id="arrays equal as sets",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["10.0.0.1", "10.0.0.2"]},
            {"format": "ip-addresses", "ip-addresses": ["10.0.0.1"]}, False,
            id="subset is no match",
        ),
        pytest.param(
            {"format": "aliases", "identifiers": [EMAIL_A, USER_U]}, EMAIL_A, False,
            id="aliases | one of them",
        ),
    ],
)  # fmt: skip
async def test_t_25_events_whose_subject_matches_are_sent(
    transmitter: TransmitterUnderTest, added: Any, event: Any, expected: bool
):
    receiver, stream_id = await new_stream(transmitter)
    assert not await is_sent(transmitter, event)
    await must_add(receiver, stream_id, added)

    assert await is_sent(transmitter, event) is expected
    claims = await polled_claims(transmitter, receiver, stream_id)
    assert [one["sub_id"] for one in claims] == ([event] if expected else [])

    await must_remove(receiver, stream_id, added)
    assert not await is_sent(transmitter, event)


async def test_t_25_on_a_stream_of_all_a_removal_silences_what_it_covers_and_no_more(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter, "ALL")
    user, both = complex_of(user=USER_U), complex_of(user=USER_U, device=DEVICE_D)
    device = complex_of(device=DEVICE_D)
    await must_remove(receiver, stream_id, EMAIL_A, device)

    sent = [
        await is_sent(transmitter, one)
        for one in (EMAIL_A, EMAIL_B, device, both, user, complex_of(device=GROUP_1))
    ]
    assert sent == [False, True, False, False, True, True]

    await must_add(receiver, stream_id, both)
    assert [await is_sent(transmitter, one) for one in (device, both)] == [True, True]
    await must_remove(receiver, stream_id, device)
    assert [await is_sent(transmitter, one) for one in (device, both)] == [False, False]
    await must_add(receiver, stream_id, EMAIL_A, device)
    assert [await is_sent(transmitter, one) for one in (EMAIL_A, device, both)] == [True] * 3


async def test_t_25_only_types_that_are_delivered_are_sent(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A)
    payload = {"credential_type": "password", "change_type": "update"}

    assert (await transmitter.emit("credential-change", subject=EMAIL_A, payload=payload))[
        "matched"
    ] == 0
    response = await receiver.http.patch(
        "/ssf/v1/streams", json={"stream_id": stream_id, "events_requested": [CREDENTIAL_CHANGE]}
    )
    assert response.status_code == 200
    assert (await transmitter.emit("credential-change", subject=EMAIL_A, payload=payload))[
        "matched"
    ] == 1
    assert not await is_sent(transmitter, EMAIL_A)
    assert len(await listed(transmitter, stream_id)) == 1


async def test_t_25_a_paused_stream_holds_what_matches_and_a_disabled_one_does_not(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter)

    async def set_status(status: str) -> None:
        body = {"stream_id": stream_id, "status": status}
        assert (await receiver.http.post("/ssf/v1/status", json=body)).status_code == 200

    await set_status("paused")
    await must_add(receiver, stream_id, EMAIL_A)
    assert await is_sent(transmitter, EMAIL_A)
    assert not await is_sent(transmitter, EMAIL_B)
    await set_status("enabled")
    claims = await polled_claims(transmitter, receiver, stream_id)
    assert [one["sub_id"] for one in claims] == [EMAIL_A]

    await set_status("disabled")
    await must_add(receiver, stream_id, EMAIL_B)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert not await is_sent(transmitter, EMAIL_B)
    await set_status("enabled")
    assert await is_sent(transmitter, EMAIL_B)
    assert not await is_sent(transmitter, EMAIL_A)


async def test_t_26_an_add_promises_nothing_and_asks_nobody_else(
    transmitter: TransmitterUnderTest,
):
    """A stream of another receiver gets its events as before, whoever adds or removes what."""
    receiver, stream_id = await new_stream(transmitter)
    other, other_stream = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A, {"format": "opaque", "id": "nobody"})
    assert (await transmitter.emit(subject=EMAIL_A))["matched"] == 1
    assert await polled_claims(transmitter, other, other_stream) == []
    await must_add(other, other_stream, EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert (await transmitter.emit(subject=EMAIL_A))["matched"] == 1
    assert len(await polled_claims(transmitter, other, other_stream)) == 1


@pytest.mark.parametrize("default_subjects", ["NONE", "ALL"])
async def test_t_27_events_go_on_for_the_grace_after_a_removal_and_not_longer(
    database: Database, clock: FakeClock, default_subjects: str
):
    async with running_transmitter(
        database, clock, subject_removal_grace_seconds=3600
    ) as transmitter:
        receiver, stream_id = await new_stream(transmitter, default_subjects)
        user = complex_of(user=USER_U)
        await must_add(receiver, stream_id, EMAIL_A, user)
        await must_remove(receiver, stream_id, EMAIL_A, user)

        for seconds, expected in ((0, True), (3599, True), (1, False), (3600, False)):
            clock.advance(seconds)
            for subject in (EMAIL_A, user):
                assert await is_sent(transmitter, subject) is expected, seconds
                # Nor does it begin anew.
                await must_remove(receiver, stream_id, subject)
            await transmitter.built.rounds.run_once()
        await must_add(receiver, stream_id, EMAIL_A)
        assert await is_sent(transmitter, EMAIL_A)


async def test_t_27_without_a_grace_a_removal_counts_at_once(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert not await is_sent(transmitter, EMAIL_A)
    assert await listed(transmitter, stream_id) == []


async def test_t_27_what_waits_already_is_handed_out_after_the_removal(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A)
    await transmitter.emit(subject=EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert len(await polled_claims(transmitter, receiver, stream_id)) == 1


async def test_t_28_adding_twice_is_one_subject(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    first = await add(receiver, stream_id, EMAIL_A)
    second = await add(receiver, stream_id, {"email": "a@EXAMPLE.COM", "format": "email"})
    assert seen(first) == seen(second)
    [one] = await listed(transmitter, stream_id)
    assert one["subject"] == {"format": "email", "email": "a@EXAMPLE.COM"}
    assert await is_sent(transmitter, EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert await listed(transmitter, stream_id) == []


# ---------------------------------------------------------------- formats

FORMATS: list[Any] = [
    pytest.param(
        {"format": "account", "uri": "acct:user@example.com"},
        {"format": "account", "uri": "ACCT:us%65r@EXAMPLE.com"},
        {"format": "account", "uri": "acct:User@example.com"}, id="account",
    ),
    pytest.param(
        EMAIL_A, {"format": "email", "email": "a@EXAMPLE.com"},
        {"format": "email", "email": "A@example.com"}, id="email",
    ),
    pytest.param(
        {"format": "email", "email": "a@bücher.example"},
        {"format": "email", "email": "a@xn--bcher-kva.example"},
        {"format": "email", "email": "a@bucher.example"}, id="email, international",
    ),
    pytest.param(
        USER_U, {"sub": "u", "iss": "https://idp.example.com", "format": "iss_sub"},
        {**USER_U, "iss": "https://idp.example.com/"}, id="iss_sub",
    ),
    pytest.param(
        {"format": "opaque", "id": "Abc"}, {"id": "Abc", "format": "opaque"},
        {"format": "opaque", "id": "abc"}, id="opaque",
    ),
    pytest.param(
        {"format": "phone_number", "phone_number": "+12065550100"},
        {"format": "phone_number", "phone_number": "+1 (206) 555-01.00"},
        {"format": "phone_number", "phone_number": "+12065550101"}, id="phone_number",
    ),
    pytest.param(
        {"format": "did", "url": "did:example:123#k"}, {"url": "did:example:123#k", "format": "did"},
        {"format": "did", "url": "did:example:123"}, id="did",
    ),
    pytest.param(
        {"format": "uri", "uri": "https://example.com/A"},
        {"format": "uri", "uri": "HTTPS://EXAMPLE.com:443/A"},
        {"format": "uri", "uri": "https://example.com/a"}, id="uri",
    ),
    pytest.param(
        {"format": "aliases", "identifiers": [EMAIL_A, USER_U]},
        {"format": "aliases", "identifiers": [USER_U, {**EMAIL_A, "email": "a@EXAMPLE.com"}]},
        {"format": "aliases", "identifiers": [EMAIL_A]}, id="aliases",
    ),
    pytest.param(
        {"format": "jwt_id", "iss": "i", "jti": "j"}, {"jti": "j", "iss": "i", "format": "jwt_id"},
        {"format": "jwt_id", "iss": "i", "jti": "J"}, id="jwt_id",
    ),
    pytest.param(
        {"format": "saml_assertion_id", "issuer": "i", "assertion_id": "_a"},
        {"assertion_id": "_a", "issuer": "i", "format": "saml_assertion_id"},
        {"format": "saml_assertion_id", "issuer": "i", "assertion_id": "_A"},
        id="saml_assertion_id",
    ),
    pytest.param(
        {"format": "ip-addresses", "ip-addresses": ["10.0.0.1", "2001:db8::1"]},
        {"format": "ip-addresses", "ip-addresses": ["2001:0DB8:0:0::1", "10.0.0.1"]},
        {"format": "ip-addresses", "ip-addresses": ["10.0.0.1"]}, id="ip-addresses",
    ),
    pytest.param(
        complex_of(user=EMAIL_A, tenant=TENANT_T),
        complex_of(tenant=TENANT_T, user={**EMAIL_A, "email": "a@EXAMPLE.com"}),
        complex_of(tenant=TENANT_T, user=EMAIL_B), id="complex",
    ),
    pytest.param(
        complex_of(user={"format": "aliases", "identifiers": [EMAIL_A, USER_U]}),
        complex_of(user={"format": "aliases", "identifiers": [USER_U, EMAIL_A]}),
        complex_of(user=EMAIL_A), id="complex with aliases",
    ),
    pytest.param(
        {"format": "scim", "uri": "/Users/1"},
        {"format": "scim", "uri": "/Users/1", "externalId": "x"},
        {"format": "scim", "uri": "/Users/2"}, id="scim",
    ),
    pytest.param(
        {"format": "catalog_item", "at": {"shelf": 1, "row": [1, 2]}},
        {"at": {"row": [1, 2], "shelf": 1.0}, "format": "catalog_item"},
        {"format": "catalog_item", "at": {"shelf": 1, "row": [2, 1]}}, id="proprietary",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("added", "same", "other"), FORMATS)
async def test_t_28_a_subject_of_any_format_is_found_again_however_it_is_written(
    transmitter: TransmitterUnderTest, added: Any, same: Any, other: Any
):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, added)
    [one] = await listed(transmitter, stream_id)
    assert one["subject"] == added, "the receiver's own words"
    sent = [await is_sent(transmitter, subject) for subject in (added, same, other)]
    assert sent == [True, True, False]
    await must_remove(receiver, stream_id, other)
    assert await is_sent(transmitter, added)
    await must_remove(receiver, stream_id, same)
    assert not await is_sent(transmitter, added)


NESTED = complex_of(user=complex_of(user=EMAIL_A))


MALFORMED: list[tuple[Any, str]] = [
    (None, "subject"),
    ("a@example.com", "subject"),
    (5, "subject"),
    ([EMAIL_A], "subject"),
    ({}, "subject.format"),
    ({"email": "a@example.com"}, "subject.format"),
    ({**EMAIL_A, "format": 5}, "subject.format"),
    ({**EMAIL_A, "format": None}, "subject.format"),
    ({**EMAIL_A, "format": ""}, "subject.format"),
    ({**EMAIL_A, "format": "e mail"}, "subject.format"),
    ({"format": "account"}, "subject.uri"),
    ({"format": "account", "uri": "user@example.com"}, "subject.uri"),
    ({"format": "account", "uri": "acct:a@b.example", "x": 1}, "subject.x"),
    ({"format": "email"}, "subject.email"),
    ({"format": "email", "email": ""}, "subject.email"),
    ({"format": "email", "email": None}, "subject.email"),
    ({"format": "email", "email": "a"}, "subject.email"),
    ({"format": "email", "email": ["a@example.com"]}, "subject.email"),
    ({**EMAIL_A, "name": "A"}, "subject.name"),
    ({"format": "iss_sub", "iss": "i"}, "subject.sub"),
    ({"format": "iss_sub", "iss": "", "sub": "s"}, "subject.iss"),
    ({"format": "opaque", "id": 5}, "subject.id"),
    ({"format": "opaque", "id": "x" * 4097}, "subject.id"),
    ({"format": "phone_number", "phone_number": "2065550100"}, "subject.phone_number"),
    ({"format": "phone_number", "phone_number": "+0123"}, "subject.phone_number"),
    ({"format": "did", "url": "example:1"}, "subject.url"),
    ({"format": "uri", "uri": "/relative"}, "subject.uri"),
    ({"format": "aliases", "identifiers": []}, "subject.identifiers"),
    ({"format": "aliases", "identifiers": EMAIL_A}, "subject.identifiers"),
    (
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [EMAIL_A]}]},
        "subject.identifiers[0]",
    ),
    ({"format": "aliases", "identifiers": [{"format": "email"}]}, "subject.identifiers[0].email"),
    ({"format": "jwt_id", "iss": "i"}, "subject.jti"),
    ({"format": "saml_assertion_id", "issuer": "i"}, "subject.assertion_id"),
    ({"format": "ip-addresses", "ip-addresses": []}, "subject.ip-addresses"),
    ({"format": "ip-addresses", "ip-addresses": ["300.0.0.1"]}, "subject.ip-addresses[0]"),
    ({"format": "complex"}, "subject"),
    (complex_of(user="u"), "subject.user"),
    (complex_of(user=None), "subject.user"),
    (complex_of(user={"format": "email"}), "subject.user.email"),
    (NESTED, "subject.user"),
    (complex_of(**{f"m{n}": EMAIL_A for n in range(9)}), "subject"),
    ({"format": "scim", "uri": "Users/1"}, "subject.uri"),
]  # fmt: skip


@pytest.mark.parametrize("path", [ADD, REMOVE])
async def test_t_28_a_malformed_subject_is_refused_where_it_is_wrong_and_changes_nothing(
    transmitter: TransmitterUnderTest, path: str
):
    receiver, stream_id = await new_stream(transmitter)
    before = await everything(transmitter, receiver)
    for subject, field in MALFORMED:
        response = await receiver.http.post(path, json={"stream_id": stream_id, "subject": subject})
        assert response.status_code == 400, (subject, response.text)
        refused = response.json()
        assert (refused["err"], refused["field"]) == ("invalid_subject", field), subject
    for text in ("a\x00b", "\ud800"):
        body = {"stream_id": stream_id, "subject": {"format": "opaque", "id": text}}
        response = await receiver.http.post(
            path, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 400, repr(text)
    assert await listed(transmitter, stream_id) == []
    assert await everything(transmitter, receiver) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"format": "phone", "phone_number": "+12065550100"},
            {"format": "phone_number", "phone_number": "+12065550100"},
        ),
        ({"format": "iss-sub", "iss": "i", "sub": "s"}, {"format": "iss_sub", "iss": "i", "sub": "s"}),
        ({"format": "jwt-id", "iss": "i", "jti": "j"}, {"format": "jwt_id", "iss": "i", "jti": "j"}),
        (
            {"format": "saml-assertion-id", "issuer": "i", "assertion_id": "a"},
            {"format": "saml_assertion_id", "issuer": "i", "assertion_id": "a"},
        ),
        ({"subject_type": "email", "email": "a@example.com"}, EMAIL_A),
        (
            {"subject_type": "phone", "phone_number": "+12065550100"},
            {"format": "phone_number", "phone_number": "+12065550100"},
        ),
        ({"user": EMAIL_A, "tenant": TENANT_T}, complex_of(user=EMAIL_A, tenant=TENANT_T)),
        (
            complex_of(user={"subject_type": "iss-sub", "iss": "i", "sub": "s"}),
            complex_of(user={"format": "iss_sub", "iss": "i", "sub": "s"}),
        ),
    ],
    ids=repr,
)  # fmt: skip
async def test_t_28_old_spellings_are_understood_and_never_shown(
    transmitter: TransmitterUnderTest, old: Any, new: Any
):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, old)
    assert [one["subject"] for one in await listed(transmitter, stream_id)] == [new]
    assert await is_sent(transmitter, new)
    await must_add(receiver, stream_id, new)
    assert len(await listed(transmitter, stream_id)) == 1
    await must_remove(receiver, stream_id, old)
    assert await listed(transmitter, stream_id) == []


# ---------------------------------------------------------------- the stream itself


@pytest.mark.parametrize("default_subjects", ["NONE", "ALL"])
async def test_a_stream_is_always_in_itself_and_cannot_be_removed(
    transmitter: TransmitterUnderTest, default_subjects: str
):
    receiver, stream_id = await new_stream(transmitter, default_subjects)
    itself = {"format": "opaque", "id": stream_id}
    assert await is_sent(transmitter, itself)
    await must_add(receiver, stream_id, itself)
    assert await listed(transmitter, stream_id) == []

    response = await remove(receiver, stream_id, itself)
    assert (response.status_code, response.json()["field"]) == (400, "subject")
    assert await is_sent(transmitter, itself)
    verified = await receiver.http.post("/ssf/v1/verify", json={"stream_id": stream_id})
    assert verified.status_code == 204


async def test_another_stream_is_an_ordinary_subject(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    other = await receiver.create_stream(events_requested=[CREDENTIAL_CHANGE])
    subject = {"format": "opaque", "id": other["stream_id"]}
    assert not await is_sent(transmitter, subject)
    await must_add(receiver, stream_id, subject)
    assert await is_sent(transmitter, subject)
    await must_remove(receiver, stream_id, subject)
    assert not await is_sent(transmitter, subject)


# ---------------------------------------------------------------- which stream


@pytest.mark.parametrize("path", [ADD, REMOVE])
async def test_the_stream_of_another_receiver_is_one_that_never_was(
    transmitter: TransmitterUnderTest, path: str
):
    receiver, _ = await new_stream(transmitter)
    _, other_stream = await new_stream(transmitter)
    answers = [
        seen(await receiver.http.post(path, json={"stream_id": name, "subject": subject}))
        for name in (other_stream, "no-such-stream")
        for subject in (EMAIL_A, {"format": "email"})
    ]
    assert answers[0][0] == 404
    assert answers == [answers[0]] * 4
    assert await listed(transmitter, other_stream) == []


@pytest.mark.parametrize("path", [ADD, REMOVE])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"subject": EMAIL_A}, "stream_id"),
        ({"stream_id": None, "subject": EMAIL_A}, "stream_id"),
        ({"stream_id": 5, "subject": EMAIL_A}, "stream_id"),
        ({"stream_id": "", "subject": EMAIL_A}, "stream_id"),
        ({"stream_id": "THE STREAM"}, "subject"),
    ],
    ids=repr,
)
async def test_what_is_missing_is_named(
    transmitter: TransmitterUnderTest, path: str, body: dict[str, Any], field: str
):
    receiver, stream_id = await new_stream(transmitter)
    if body.get("stream_id") == "THE STREAM":
        body = {**body, "stream_id": stream_id}
    response = await receiver.http.post(path, json=body)
    assert (response.status_code, response.json().get("field")) == (400, field), response.text
    assert await listed(transmitter, stream_id) == []


async def test_members_that_nobody_knows_are_ignored(transmitter: TransmitterUnderTest):
    """SSF 1.0 §4: unknown fields; only the identifier itself is taken strictly."""
    receiver, stream_id = await new_stream(transmitter)
    assert (await add(receiver, stream_id, EMAIL_A, priority=1)).status_code == 200


async def test_both_profiles_change_the_same_list(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    added = await receiver.http.post("/sse/v1/subjects:add", json={"subject": EMAIL_A})
    assert (added.status_code, added.content) == (200, b"")
    assert await is_sent(transmitter, EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    assert not await is_sent(transmitter, EMAIL_A)
    await must_add(receiver, stream_id, EMAIL_A)
    removed = await receiver.http.post("/sse/v1/subjects:remove", json={"subject": EMAIL_A})
    assert (removed.status_code, removed.content) == (204, b"")
    assert await listed(transmitter, stream_id) == []


async def test_the_older_profile_refuses_as_the_newer_one_does(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    itself = {"format": "opaque", "id": stream_id}
    for word, body in (
        ("add", {}),
        ("remove", {}),
        ("add", {"subject": {"format": "email"}}),
        ("remove", {"subject": None}),
        ("add", {"subject": EMAIL_A, "verified": "yes"}),
        ("remove", {"subject": itself}),
    ):
        old = await receiver.http.post(f"/sse/v1/subjects:{word}", json=body)
        new = await receiver.http.post(
            f"/ssf/v1/subjects:{word}", json={"stream_id": stream_id, **body}
        )
        assert old.status_code == 400
        assert seen(old) == seen(new)
    assert await listed(transmitter, stream_id) == []


async def test_the_older_profile_makes_its_stream_for_the_first_subject(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver(default_subjects="NONE")
    added = await receiver.http.post("/sse/v1/subjects:add", json={"subject": EMAIL_A})
    assert added.status_code == 200
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    assert len(await listed(transmitter, stream["stream_id"])) == 1


async def test_the_list_goes_with_its_stream(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    await must_add(receiver, stream_id, EMAIL_A, complex_of(user=USER_U))
    gone = await receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream_id})
    assert gone.status_code == 204
    for subject in (EMAIL_A, complex_of(user=USER_U)):
        assert not await is_sent(transmitter, subject)
    assert (await remove(receiver, stream_id, EMAIL_A)).status_code == 404
    assert (await poll_response(receiver, stream_id)).status_code == 404
    while await transmitter.built.rounds.run_once():
        pass
    again = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    assert await listed(transmitter, again["stream_id"]) == []
    assert not await is_sent(transmitter, EMAIL_A)


# ---------------------------------------------------------------- limits


@pytest.fixture
async def small(database: Database, clock: FakeClock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter whose streams may list two subjects, with a grace."""
    async with running_transmitter(
        database, clock, max_subjects_per_stream=2, subject_removal_grace_seconds=60
    ) as running:
        yield running


@pytest.mark.parametrize("default_subjects", ["NONE", "ALL"])
async def test_a_list_takes_as_many_subjects_as_it_may_and_no_more(
    small: TransmitterUnderTest, clock: FakeClock, default_subjects: str
):
    receiver, stream_id = await new_stream(small, default_subjects)
    await must_add(receiver, stream_id, EMAIL_A, complex_of(user=USER_U))
    full = await listed(small, stream_id)

    third = await add(receiver, stream_id, EMAIL_B)
    assert (third.status_code, third.json()["err"]) == (400, "too_many_subjects")
    assert "2" in third.json()["description"]
    assert await listed(small, stream_id) == full

    await must_add(receiver, stream_id, EMAIL_A)
    await must_remove(receiver, stream_id, EMAIL_A)
    clock.advance(60)
    while await small.built.rounds.run_once():
        pass
    # What was removed from all stays said; what was taken out of a list is forgotten.
    expected = 200 if default_subjects == "NONE" else 400
    assert (await add(receiver, stream_id, EMAIL_B)).status_code == expected
    await must_add(receiver, stream_id, EMAIL_A if default_subjects == "ALL" else EMAIL_B)


async def test_on_a_stream_of_all_removals_count_as_well(small: TransmitterUnderTest):
    receiver, stream_id = await new_stream(small, "ALL")
    await must_remove(receiver, stream_id, EMAIL_A, complex_of(user=USER_U))
    third = await remove(receiver, stream_id, EMAIL_B)
    assert (third.status_code, third.json()["err"]) == (400, "too_many_subjects")
    assert len(await listed(small, stream_id)) == 2
    await must_remove(receiver, stream_id, EMAIL_A)


async def test_a_listed_subject_may_have_eight_members(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    eight = complex_of(**{f"m{number}": EMAIL_A for number in range(8)})
    await must_add(receiver, stream_id, eight)
    assert await is_sent(transmitter, eight)
    assert await is_sent(transmitter, complex_of(m3=EMAIL_A, m9=EMAIL_B))
    assert not await is_sent(transmitter, complex_of(m3=EMAIL_A, m4=EMAIL_B))
    nine = {**eight, "m8": EMAIL_A}
    assert (await add(receiver, stream_id, nine)).status_code == 400
    assert await is_sent(transmitter, nine)


async def test_a_list_may_have_128_sets_of_member_names(transmitter: TransmitterUnderTest):
    receiver, stream_id = await new_stream(transmitter)
    shapes = [complex_of(**{f"m{number}": TENANT_T}) for number in range(129)]
    await must_add(receiver, stream_id, *shapes[:128])
    refused = await add(receiver, stream_id, shapes[128])
    assert (refused.status_code, refused.json()["err"]) == (400, "too_many_subjects")
    assert "128" in refused.json()["description"]
    assert len(await listed(transmitter, stream_id)) == 128
    await must_add(receiver, stream_id, complex_of(m0=DEVICE_D), EMAIL_A)
    await must_remove(receiver, stream_id, shapes[1])
    await must_add(receiver, stream_id, shapes[128])
    # Some of the 128 match by having nothing in common; among those named, only the values count.
    assert await is_sent(transmitter, complex_of(m128=TENANT_T))

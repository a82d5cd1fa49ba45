"""What anybody may read: metadata (SSF 1.0 §7), public keys, health."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from ssf.store.database import Database
from tests.api.test_ssf_poll import number, polled_claims
from tests.clients import (
    ISSUER,
    POLL,
    PUSH,
    SESSION_REVOKED,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock

METADATA = "/.well-known/ssf-configuration"
SSE_METADATA = "/.well-known/sse-configuration"
RISC_METADATA = "/.well-known/risc-configuration"
EVERY_METADATA = (METADATA, SSE_METADATA, RISC_METADATA)


async def metadata(transmitter: TransmitterUnderTest, path: str = METADATA) -> dict[str, Any]:
    response = await transmitter.anonymous.get(path)
    assert response.status_code == 200, response.text
    document = response.json()
    assert isinstance(document, dict)
    return document


# ---------------------------------------------------------------- metadata (T-1 to T-6)


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ("https://h.example", METADATA),
        ("https://h.example/", METADATA),
        ("https://h.example/a", f"{METADATA}/a"),
        ("https://h.example/a/b", f"{METADATA}/a/b"),
        ("https://h.example/a/b/", f"{METADATA}/a/b"),
        ("https://h.example:8443/a", f"{METADATA}/a"),
        ("https://h.example/a%20b", f"{METADATA}/a%20b"),
        ("https://h.example/~x/a.b_c-d", f"{METADATA}/~x/a.b_c-d"),
    ],
)
async def test_t1_metadata_is_served_between_host_and_path(
    database: Database, clock: FakeClock, issuer: str, path: str
):
    async with running_transmitter(database, clock, issuer=issuer) as transmitter:
        assert (await metadata(transmitter, path))["issuer"] == issuer


@pytest.mark.parametrize("issuer", ["https://h.example", "https://h/a/b", "https://h/a/b/"])
async def test_t1_metadata_of_the_older_profile_is_served_between_host_and_path(
    database: Database, clock: FakeClock, issuer: str
):
    async with running_transmitter(database, clock, issuer=issuer) as transmitter:
        path = urlsplit(issuer).path.removesuffix("/")
        for name in (SSE_METADATA, RISC_METADATA):
            assert (await metadata(transmitter, name + path))["issuer"] == issuer, name
            if path:
                assert (await transmitter.anonymous.get(name)).status_code == 404, name


async def test_t1_metadata_is_served_at_no_other_path(database: Database, clock: FakeClock):
    async with running_transmitter(database, clock, issuer="https://h.example/a/b") as transmitter:
        for path in (
            METADATA,
            f"{METADATA}/a",
            f"{METADATA}/a/b/c",
            f"{METADATA}/A/b",
            "/a/b/.well-known/ssf-configuration",
            "/.well-known/ssf-configurations/a/b",
        ):
            response = await transmitter.anonymous.get(path)
            assert response.status_code == 404, path
            assert response.json()["err"] == "not_found", path


async def test_t2_metadata_is_one_json_object(transmitter: TransmitterUnderTest):
    response = await transmitter.anonymous.get(METADATA)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "spec_version": "1_0",
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks.json",
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": f"{ISSUER}/ssf/v1/streams",
        "status_endpoint": f"{ISSUER}/ssf/v1/status",
        "add_subject_endpoint": f"{ISSUER}/ssf/v1/subjects:add",
        "remove_subject_endpoint": f"{ISSUER}/ssf/v1/subjects:remove",
        "verification_endpoint": f"{ISSUER}/ssf/v1/verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
        "default_subjects": "ALL",
    }


@pytest.mark.parametrize("path", [SSE_METADATA, RISC_METADATA])
async def test_t2_metadata_of_the_older_profile_is_one_json_object(
    transmitter: TransmitterUnderTest, path: str
):
    response = await transmitter.anonymous.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "spec_version": "1_0-ID1",
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks.json",
        "delivery_methods_supported": [
            "https://schemas.openid.net/secevent/risc/delivery-method/push",
            "https://schemas.openid.net/secevent/risc/delivery-method/poll",
        ],
        "configuration_endpoint": f"{ISSUER}/sse/v1/stream",
        "status_endpoint": f"{ISSUER}/sse/v1/status",
        "add_subject_endpoint": f"{ISSUER}/sse/v1/subjects:add",
        "remove_subject_endpoint": f"{ISSUER}/sse/v1/subjects:remove",
        "verification_endpoint": f"{ISSUER}/sse/v1/verify",
    }


async def test_t2_metadata_answers_head_and_refuses_other_methods(
    transmitter: TransmitterUnderTest,
):
    for path in EVERY_METADATA:
        head = await transmitter.anonymous.head(path)
        assert head.status_code == 200
        assert head.content == b""
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = await transmitter.anonymous.request(method, path)
            assert response.status_code == 405, method
            assert "GET" in response.headers["allow"]


async def test_t3_arrays_without_elements_are_left_out(transmitter: TransmitterUnderTest):
    for path in EVERY_METADATA:
        document = await metadata(transmitter, path)
        assert [] not in document.values()
        assert None not in document.values()
        assert "critical_subject_members" not in document


async def test_t3_critical_subject_members_are_published_when_there_are_any(
    database: Database, clock: FakeClock
):
    async with running_transmitter(
        database, clock, critical_subject_members="user, device"
    ) as transmitter:
        for path in EVERY_METADATA:
            document = await metadata(transmitter, path)
            assert document["critical_subject_members"] == ["user", "device"], path


@pytest.mark.parametrize("default_subjects", ["ALL", "NONE"])
async def test_default_subjects_are_published_and_are_those_of_a_new_receiver(
    database: Database, clock: FakeClock, default_subjects: str
):
    async with running_transmitter(
        database, clock, default_subjects=default_subjects
    ) as transmitter:
        assert (await metadata(transmitter))["default_subjects"] == default_subjects
        receiver = await transmitter.add_receiver()
        shown = await transmitter.http.get(f"/admin/v1/receivers/{receiver.client_id}")
        assert shown.json()["default_subjects"] == default_subjects


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/", f"{ISSUER}/tenant/", f"{ISSUER}:443/A"])
async def test_t4_the_issuer_is_the_same_everywhere(
    database: Database, clock: FakeClock, issuer: str
):
    async with running_transmitter(database, clock, issuer=issuer) as transmitter:
        path = urlsplit(issuer).path.removesuffix("/")
        for name in EVERY_METADATA:
            assert (await metadata(transmitter, name + path))["issuer"] == issuer
        receiver = await transmitter.add_receiver()
        created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
        assert created["iss"] == issuer
        assert (await receiver.http.get("/sse/v1/stream")).json()["iss"] == issuer
        await transmitter.emit()
        (claims,) = await polled_claims(transmitter, receiver, created["stream_id"])
        assert claims["iss"] == issuer


async def test_t5_a_risc_transmitter_is_one_of_the_older_profile_only(
    transmitter: TransmitterUnderTest,
):
    """SSF 1.0 advises new services against the path; receivers of before 2021 know no other."""
    found = await metadata(transmitter, RISC_METADATA)
    assert found == await metadata(transmitter, SSE_METADATA)
    assert found["configuration_endpoint"] == f"{ISSUER}/sse/v1/stream"


async def test_t6_metadata_is_readable_whatever_credentials_come_along(
    transmitter: TransmitterUnderTest,
):
    assert (await metadata(transmitter))["authorization_schemes"]
    for path in EVERY_METADATA:
        plain = await metadata(transmitter, path)
        for value in ("Bearer not-a-token", "Basic x", ""):
            response = await transmitter.anonymous.get(path, headers={"Authorization": value})
            assert response.status_code == 200, value
            assert response.json() == plain, value


async def test_t7_the_poll_endpoint_of_the_older_profile_takes_the_same_scheme_as_the_others(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    body = {"returnImmediately": True}
    polled = await transmitter.anonymous.post("/sse/v1/poll", json=body)
    managed = await transmitter.anonymous.get("/sse/v1/stream")
    assert polled.status_code == managed.status_code == 401
    assert polled.headers["www-authenticate"] == managed.headers["www-authenticate"]
    assert (await receiver.http.post("/sse/v1/poll", json=body)).status_code == 200


async def test_t7_the_poll_endpoint_takes_the_same_scheme_as_the_others(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_stream()
    url = created["delivery"]["endpoint_url"]
    polled = await transmitter.anonymous.post(url, json={"returnImmediately": True})
    managed = await transmitter.anonymous.get("/ssf/v1/streams")
    assert polled.status_code == managed.status_code == 401
    assert polled.headers["www-authenticate"] == managed.headers["www-authenticate"]
    assert polled.headers["www-authenticate"].startswith("Bearer")
    with_token = await receiver.http.post(url, json={"returnImmediately": True})
    assert with_token.status_code == 200


async def test_t9_every_endpoint_in_the_metadata_is_there(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver()
    document = await metadata(transmitter)
    endpoints = [name for name in document if name.endswith("_endpoint")]
    assert {"configuration_endpoint", "status_endpoint", "verification_endpoint"} <= {*endpoints}
    for name in endpoints:
        response = await receiver.http.post(document[name], json={"stream_id": "x" * 300})
        assert response.status_code in {201, 400}, name
    assert (await transmitter.anonymous.get(document["jwks_uri"])).status_code == 200


async def test_urls_come_from_the_issuer_and_never_from_the_host_header(
    transmitter: TransmitterUnderTest,
):
    plain = await metadata(transmitter)
    spoofed = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    response = await transmitter.anonymous.get(METADATA, headers=spoofed)
    assert response.json() == plain
    receiver = await transmitter.add_receiver()
    created = await receiver.http.post("/ssf/v1/streams", json={}, headers=spoofed)
    assert "evil.example" not in created.text


# ---------------------------------------------------------------- keys


async def test_only_public_keys_are_published(transmitter: TransmitterUnderTest):
    response = await transmitter.anonymous.get("/jwks.json")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/")
    (key,) = response.json()["keys"]
    assert key["kty"] == "EC"
    assert key["crv"] == "P-256"
    assert key["kid"]
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()


async def test_a_client_that_has_the_keys_is_told_so(transmitter: TransmitterUnderTest):
    first = await transmitter.anonymous.get("/jwks.json")
    assert "max-age=" in first.headers["cache-control"]
    again = await transmitter.anonymous.get(
        "/jwks.json", headers={"If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == 304
    assert again.content == b""
    other = await transmitter.anonymous.get("/jwks.json", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_a_new_transmitter_over_the_same_database_has_the_same_keys(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    before = (await transmitter.anonymous.get("/jwks.json")).json()
    async with running_transmitter(transmitter.database, clock) as second:
        assert (await second.anonymous.get("/jwks.json")).json() == before


async def test_a_set_signed_with_rs256_verifies_with_a_key_of_2048_bits_or_more(
    database: Database, clock: FakeClock
):
    async with running_transmitter(database, clock, signing_algorithm="RS256") as transmitter:
        receiver = await transmitter.add_receiver()
        created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
        await transmitter.emit(txn="rs256")
        (claims,) = await polled_claims(transmitter, receiver, created["stream_id"])
        assert claims["txn"] == "rs256"
        (key,) = (await transmitter.anonymous.get("/jwks.json")).json()["keys"]
        assert key["kty"] == "RSA"
        assert number(key["n"]).bit_length() >= 2048
        assert not {"d", "p", "q", "dp", "dq", "qi"} & key.keys()


# ---------------------------------------------------------------- health


async def test_health_is_open_and_says_nothing_of_the_inside(transmitter: TransmitterUnderTest):
    live = await transmitter.anonymous.get("/healthz")
    assert live.status_code == 200
    assert live.json() == {"status": "ok"}
    ready = await transmitter.anonymous.get("/readyz")
    assert ready.status_code == 503, "no worker runs in this test"
    assert ready.json()["checks"]["database"] == "ok"
    assert ready.json()["checks"]["worker"] == "not_running"

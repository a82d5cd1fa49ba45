"""Discovery: SSF 1.0 §7."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.errors import MalformedMetadata
from ssf.protocol.transmitter_metadata import (
    TransmitterMetadata,
    parse_issuer,
    well_known_path,
)

ISSUER = "https://tr.example.com"
FULL = TransmitterMetadata(
    issuer=ISSUER,
    jwks_uri=f"{ISSUER}/jwks.json",
    delivery_methods_supported=("urn:ietf:rfc:8935", "urn:ietf:rfc:8936"),
    configuration_endpoint=f"{ISSUER}/ssf/v1/streams",
    status_endpoint=f"{ISSUER}/ssf/v1/status",
    add_subject_endpoint=f"{ISSUER}/ssf/v1/subjects:add",
    remove_subject_endpoint=f"{ISSUER}/ssf/v1/subjects:remove",
    verification_endpoint=f"{ISSUER}/ssf/v1/verify",
    critical_subject_members=("tenant", "user"),
    authorization_schemes=("urn:ietf:rfc:6749",),
    default_subjects="NONE",
)


def test_the_document_has_every_member_of_the_table():
    assert FULL.to_document() == {
        "spec_version": "1_0",
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks.json",
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
        "configuration_endpoint": f"{ISSUER}/ssf/v1/streams",
        "status_endpoint": f"{ISSUER}/ssf/v1/status",
        "add_subject_endpoint": f"{ISSUER}/ssf/v1/subjects:add",
        "remove_subject_endpoint": f"{ISSUER}/ssf/v1/subjects:remove",
        "verification_endpoint": f"{ISSUER}/ssf/v1/verify",
        "critical_subject_members": ["tenant", "user"],
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
        "default_subjects": "NONE",
    }


def test_arrays_without_elements_and_what_is_none_are_left_out():
    assert TransmitterMetadata(issuer=ISSUER, spec_version=None).to_document() == {"issuer": ISSUER}


def test_a_document_is_read_back_the_same():
    assert TransmitterMetadata.from_document(FULL.to_document(), expected_issuer=ISSUER) == FULL


def test_a_document_without_spec_version_is_of_the_first_implementers_draft():
    read = TransmitterMetadata.from_document({"issuer": ISSUER, "x": 1}, expected_issuer=ISSUER)
    assert read == TransmitterMetadata(issuer=ISSUER, spec_version="1_0-ID1")


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", "https://TR.example.com", None, 1, [ISSUER]])
def test_a_document_about_another_issuer_is_not_used(issuer):
    with pytest.raises(MalformedMetadata):
        TransmitterMetadata.from_document({"issuer": issuer}, expected_issuer=ISSUER)


@pytest.mark.parametrize(
    "member",
    [
        {"jwks_uri": 1},
        {"status_endpoint": ""},
        {"delivery_methods_supported": "urn:ietf:rfc:8935"},
        {"delivery_methods_supported": [1]},
        {"critical_subject_members": ["u"] * 1001},
        {"authorization_schemes": ["urn:ietf:rfc:6749"]},
        {"authorization_schemes": [{}]},
    ],
    ids=str,
)
def test_a_malformed_member_makes_the_document_unusable(member):
    with pytest.raises(MalformedMetadata):
        TransmitterMetadata.from_document({"issuer": ISSUER, **member}, expected_issuer=ISSUER)


def test_an_unknown_default_subjects_counts_as_unsaid():
    read = TransmitterMetadata.from_document(
        {"issuer": ISSUER, "default_subjects": ["SOME"]}, expected_issuer=ISSUER
    )
    assert read.default_subjects is None


@pytest.mark.parametrize(
    "issuer",
    [
        "https://tr.example",
        "https://tr.example/",
        "https://tr.example/a/b",
        "https://tr.example:8443/a/",
        "https://[2001:db8::1]/a",
        "https://127.0.0.1:1",
        "https://tr.example/%7Ea;b=c",
    ],
)
def test_an_issuer_is_returned_unchanged(issuer):
    assert parse_issuer(issuer, allow_http=False) == issuer


@pytest.mark.parametrize("allow_http", [True, False])
@pytest.mark.parametrize(
    "issuer",
    [
        None, 1, [], "", "tr.example", "//tr.example", "ftp://tr.example", "https:tr.example",
        "https://", "https:///a", "https://tr.example?", "https://tr.example?a=b",
        "https://tr.example#", "https://tr.example/#a", "https://u@tr.example",
        "https://u:p@tr.example", "https://@tr.example", "https://tr.example:",
        "https://tr.example:0", "https://tr.example:65536", "https://tr.example:x",
        "https://tr.example:0443", "https://tr example", "https://tr.example/a b",
        "https://tr.example\\@evil.example", "https://tr.example/a/../b", "https://tr.example/.",
        "https://[::1", "https://[zz]", "https://tr.example\n", " https://tr.example",
        "HTTPS://tr.example", "https://t\u00e4.example", "https://tr.example/%zz", "https://h/" + "x" * 2048,
    ],
    ids=ascii,
)  # fmt: skip
def test_anything_else_is_no_issuer(issuer, allow_http):
    with pytest.raises(MalformedMetadata) as caught:
        parse_issuer(issuer, allow_http=allow_http)
    assert caught.value.field == "issuer"


def test_http_is_an_issuer_only_when_allowed():
    assert parse_issuer("http://127.0.0.1:8080", allow_http=True)
    with pytest.raises(MalformedMetadata, match="https"):
        parse_issuer("http://127.0.0.1:8080", allow_http=False)


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ("https://h", "/.well-known/ssf-configuration"),
        ("https://h/", "/.well-known/ssf-configuration"),
        ("https://h:8443", "/.well-known/ssf-configuration"),
        ("https://h/a", "/.well-known/ssf-configuration/a"),
        ("https://h/a/b", "/.well-known/ssf-configuration/a/b"),
        ("https://h/a/b/", "/.well-known/ssf-configuration/a/b"),
    ],
)
def test_the_well_known_part_goes_between_host_and_path(issuer, path):
    """SSF 1.0 §7.2.1."""
    assert well_known_path(issuer) == path


def test_older_documents_have_their_own_names():
    assert well_known_path("https://h/a", "sse-configuration") == "/.well-known/sse-configuration/a"


@given(
    st.builds(
        TransmitterMetadata,
        issuer=st.just(ISSUER),
        spec_version=st.sampled_from(["1_0", "1_0-ID3"]),
        delivery_methods_supported=st.lists(st.sampled_from(["urn:x:1", "urn:x:2"])).map(tuple),
        critical_subject_members=st.lists(st.sampled_from(["user", "tenant"])).map(tuple),
        authorization_schemes=st.lists(st.sampled_from(["urn:ietf:rfc:6749"])).map(tuple),
        default_subjects=st.sampled_from([None, "ALL", "NONE"]),
    )
)
def test_every_document_survives_the_way_over_the_wire(metadata):
    document: dict[str, Any] = metadata.to_document()
    assert [] not in document.values()
    assert TransmitterMetadata.from_document(document, expected_issuer=ISSUER) == metadata

"""Push delivery on the wire: RFC 8935."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.push import (
    PushError,
    PushFailure,
    error_body,
    is_set_media_type,
    media_type,
    parse_error_body,
    required_headers,
)


def test_the_codes_are_those_of_the_registry_and_of_ssf():
    assert {str(code) for code in PushError} == {
        "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience",
        "authentication_failed", "access_denied", "invalid_state",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/secevent+jwt", "application/secevent+jwt"),
        ("Application/SECEVENT+JWT; charset=UTF-8", "application/secevent+jwt"),
        ("  application/json ;charset=utf-8", "application/json"),
        ("application/json;", "application/json"),
        (";", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_media_type_is_compared_without_case_and_parameters(content_type, expected):
    assert media_type(content_type) == expected
    assert is_set_media_type(content_type) is (expected == "application/secevent+jwt")


def test_a_push_says_what_it_sends_and_what_it_accepts():
    assert required_headers(None) == {
        "Content-Type": "application/secevent+jwt",
        "Accept": "application/json",
    }


@pytest.mark.parametrize("value", ["Bearer abc", "bearer  two  blanks", "opaque"])
def test_the_authorization_header_is_sent_exactly_as_given(value):
    assert required_headers(value)["Authorization"] == value


def test_what_error_body_writes_parse_error_body_reads():
    body = json.dumps(error_body(PushError.INVALID_KEY, "Key expired")).encode()
    failure = parse_error_body(body, "application/json")
    assert failure == PushFailure(err="invalid_key", description="Key expired")
    assert failure.known is PushError.INVALID_KEY


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/problem+json", "text/plain", "", None]
)
def test_a_refusal_is_understood_whatever_json_type_it_claims(content_type):
    failure = parse_error_body(b'{"err":"access_denied"}', content_type)
    assert failure == PushFailure(err="access_denied", description=None)


def test_an_unregistered_code_is_kept():
    failure = parse_error_body(b'{"err":"out_of_paper","description":7}', None)
    assert failure == PushFailure(err="out_of_paper", description=None)
    assert failure.known is None


def test_codes_are_case_sensitive():
    failure = parse_error_body(b'{"err":"Invalid_Key"}', None)
    assert failure is not None
    assert failure.known is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"[]", b"1", b"null", b'"err"', b"{}", b'{"err":null}', b'{"err":1}',
        b'{"err":""}', b'\xff\xfe{"err":"x"}', b"[" * 50_000, b'{"a":' * 50_000,
        b'{"err":"x","n":' + b"9" * 5000 + b"}", b'{"err":"' + b"x" * 70_000 + b'"}',
    ],
)  # fmt: skip
def test_anything_else_is_no_refusal(body):
    assert parse_error_body(body, "application/json") is None


def test_an_error_page_is_no_refusal():
    assert parse_error_body(b'{"err":"invalid_request"}', "text/html; charset=utf-8") is None


def test_a_byte_order_mark_does_not_hide_a_refusal():
    assert parse_error_body(b'\xef\xbb\xbf{"err":"x"}', None) == PushFailure(
        err="x", description=None
    )


def test_a_description_is_printable_and_at_most_1000_characters():
    body = json.dumps(
        {"err": "x", "description": "a\x1b[31m\r\n\u202e\ud800" + "b" * 5000}
    ).encode()
    failure = parse_error_body(body, None)
    assert failure is not None
    assert failure.description is not None
    assert failure.description.isprintable()
    assert len(failure.description) == 1000
    assert len(error_body("x", "y" * 5000)["description"]) == 1000


@given(
    st.binary() | st.text(max_size=50).map(lambda text: json.dumps({"err": text}).encode()),
    st.none() | st.text(max_size=20),
)
def test_no_answer_makes_the_parser_raise(body, content_type):
    failure = parse_error_body(body, content_type)
    assert failure is None or (failure.err.isprintable() and failure.err)

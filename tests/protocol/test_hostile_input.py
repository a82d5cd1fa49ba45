"""Whatever JSON a stranger sends, a parser returns or raises a ProtocolError. Nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssf.protocol import errors
from ssf.protocol.errors import ProtocolError
from ssf.protocol.event_types import EVENT_TYPES, find_event_type
from ssf.protocol.events import parse_event
from ssf.protocol.security_event_token import SecurityEventToken
from ssf.protocol.stream_configuration import (
    parse_delivery,
    parse_description,
    parse_events_requested,
    parse_format,
    parse_stream_id,
    require_unreserved,
)
from ssf.protocol.subject_formats import SIMPLE_FORMATS
from ssf.protocol.subjects import parse_subject
from ssf.protocol.transmitter_metadata import TransmitterMetadata, parse_issuer
from tests.protocol.strategies import json_values

PARSERS: dict[str, Callable[[object], object]] = {
    "parse_subject": parse_subject,
    "parse_subject, lenient": partial(parse_subject, strict=False),
    "find_event_type": find_event_type,
    "from_claims": SecurityEventToken.from_claims,
    "from_claims, old": lambda value: SecurityEventToken.from_claims(
        value, allow_event_subject=True
    ),
    "parse_delivery": parse_delivery,
    "parse_delivery, old": lambda value: parse_delivery(value, legacy_names=True),
    "parse_events_requested": parse_events_requested,
    "parse_description": parse_description,
    "parse_format": parse_format,
    "parse_stream_id": parse_stream_id,
    "require_unreserved": require_unreserved,
    "parse_issuer": lambda value: parse_issuer(value, allow_http=True),
    "from_document": lambda value: TransmitterMetadata.from_document(
        {"issuer": "https://h", **value} if isinstance(value, dict) else value,
        expected_issuer="https://h",
    ),
    "from_claims, sub_id": lambda value: SecurityEventToken.from_claims(
        {"iss": "i", "jti": "j", "iat": 1, "aud": "a", "sub_id": value, "events": {"urn:x:y": {}}}
    ),
}
for _uri, _type in EVENT_TYPES.items():
    PARSERS[f"parse_event, {_type.name}"] = partial(parse_event, _uri)
    PARSERS[f"parse_event, {_type.name}, lenient"] = partial(parse_event, _uri, strict=False)


def error_of(parse: Callable[[Any], object], value: object) -> ProtocolError | None:
    """What the parser refuses the value with; any other exception passes and fails the test."""
    try:
        parse(value)
    except ProtocolError as error:
        return error
    return None


def assert_only_protocol_errors(parse: Callable[[Any], object], value: object) -> None:
    error = error_of(parse, value)
    if error is not None:
        assert error.field
        assert error.field.isprintable()
        assert error.reason.isprintable()
        assert len(str(error)) <= 900


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=50)
@given(value=json_values)
def test_a_parser_raises_nothing_but_protocol_errors(parser, value):
    assert_only_protocol_errors(PARSERS[parser], value)


@pytest.mark.parametrize("name", [*SIMPLE_FORMATS, "aliases", "complex", "mine"])
@settings(max_examples=50)
@given(data=st.data())
def test_no_member_value_of_any_format_breaks_the_subject_parser(name, data):
    row = SIMPLE_FORMATS.get(name)
    members = row.required if row else ("identifiers", "user", "device")
    value = {"format": name, **{member: data.draw(json_values) for member in members}}
    for strict in (True, False):
        assert_only_protocol_errors(partial(parse_subject, strict=strict), value)


@given(st.text(st.characters(exclude_categories=[])))
def test_no_event_type_uri_breaks_the_event_parser(uri):
    for strict in (True, False):
        assert_only_protocol_errors(partial(parse_event, payload={}, strict=strict), uri)


@given(st.text(st.characters(exclude_categories=[]), max_size=2000))
def test_error_texts_are_bounded_and_printable(text):
    error = ProtocolError(text, field=text)
    assert error.field.isprintable()
    assert error.reason.isprintable()
    assert len(error.field) <= 300
    assert len(error.reason) <= 500


def test_every_error_of_the_tree_has_its_code():
    codes = {
        name: getattr(errors, name).code for name in vars(errors)
        if isinstance(getattr(errors, name), type) and issubclass(getattr(errors, name), ProtocolError)
    }  # fmt: skip
    assert codes == {
        "ProtocolError": "invalid_request",
        "MalformedSubject": "invalid_subject",
        "UnknownSubjectFormat": "invalid_subject",
        "MalformedEvent": "invalid_event",
        "UnknownEventType": "unknown_event_type",
        "MalformedSet": "invalid_request",
        "WrongIssuer": "invalid_issuer",
        "WrongAudience": "invalid_audience",
        "MalformedStreamConfiguration": "invalid_request",
        "MalformedMetadata": "invalid_metadata",
    }


@pytest.mark.parametrize("character", ["\x00", "\n", "\x7f", "\x9b", "\ud800"])
def test_text_with_control_characters_is_refused_everywhere_it_becomes_a_key(character):
    text = f"a{character}b"
    for parse in (parse_stream_id, parse_description, lambda one: parse_events_requested([one])):
        with pytest.raises(ProtocolError):
            parse(text)

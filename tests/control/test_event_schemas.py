"""Schemas are compiled and run by a library; nothing but refusals comes out of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.control.event_schemas import require_compilable, require_valid
from ssf.protocol.errors import MalformedEvent, ProtocolError
from ssf.rules.errors import InvalidRequest
from ssf.rules.event_schemas import schema_text

KEYWORDS = [
    "$id", "$ref", "$defs", "$vocabulary", "type", "enum", "const", "pattern", "format", "items",
    "required", "properties", "patternProperties", "additionalProperties", "propertyNames",
    "unevaluatedProperties", "multipleOf", "minimum", "minLength", "uniqueItems", "contains",
    "allOf", "anyOf", "oneOf", "not", "if", "then", "dependentRequired", "dependencies",
    "examples", "contentMediaType", "a", "b",
]  # fmt: skip
SCALARS = (
    st.sampled_from(["#", "#/$defs/a", "#/not", "string", "object", "(", "^a", "a", "b", "", "%%"])
    | st.integers(-2, 2)
    | st.sampled_from([1e308, 5e-324, 2**63 - 1])
    | st.booleans()
    | st.none()
)
SCHEMAS = st.dictionaries(
    st.sampled_from(KEYWORDS),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)
PAYLOADS = st.dictionaries(
    st.sampled_from(["a", "b", "$ref"]), st.recursive(SCALARS, lambda x: st.lists(x, max_size=2))
)


def refusal_of(schema: dict[str, Any], payload: dict[str, Any]) -> Exception | None:
    """What is said no with; any other exception passes and fails the test."""
    try:
        text = schema_text(schema)
        require_compilable(text)
        require_valid(payload, text, field="payload")
    except (InvalidRequest, ProtocolError) as error:
        return error
    return None


@given(schema=SCHEMAS, payload=PAYLOADS)
def test_f129_no_schema_and_no_payload_make_a_fault(schema, payload):
    error = refusal_of(schema, payload)
    if isinstance(error, MalformedEvent):
        assert error.field.startswith("payload")
    elif error is not None:
        assert getattr(error, "field", "").startswith("schema")


@pytest.mark.parametrize(
    "pattern",
    ["^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "^[^@\\s]{1,64}@[^@\\s]{1,255}$", "^\\p{L}+$", "^.{1,255}$"],
)  # fmt: skip
def test_the_expressions_that_people_write_compile(pattern):
    require_compilable(json.dumps({"pattern": pattern}))


def test_a_schema_fetches_nothing_even_if_nobody_had_looked_at_it():
    with pytest.raises(InvalidRequest):
        require_compilable('{"$ref": "http://127.0.0.1:9/schema.json"}')

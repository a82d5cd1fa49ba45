"""F-129: which JSON Schemas are harmless enough to be compiled."""

import json
from typing import Any

import pytest
from hypothesis import given

from ssf.protocol.errors import ProtocolError
from ssf.rules.errors import InvalidRequest
from ssf.rules.event_schemas import (
    DRAFT,
    MAX_PATTERNS,
    MAX_SCHEMA_BYTES,
    MAX_SUBSCHEMAS_PER_VALUE,
    schema_text,
)
from tests.protocol.strategies import json_values


def nested(depth: int) -> dict[str, Any]:
    """A schema of so many objects inside each other."""
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"not": schema}
    return schema


def chain(length: int, link: str) -> dict[str, Any]:
    """A schema that applies so many others to the same value, each through the one before it."""
    definitions: dict[str, Any] = {
        f"a{index}": {link: [{"$ref": f"#/$defs/a{index + 1}"}]} for index in range(length)
    }
    return {"$defs": {**definitions, f"a{length}": {}}, "$ref": "#/$defs/a0"}


TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "left": {"$ref": "#/$defs/node"},
                "right": {"$ref": "#/$defs/node"},
                "more": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}

HARMLESS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "the draft by name": {"$schema": DRAFT, "$id": "https://example.com/door", "title": "Door"},
    "a tree that refers to itself": TREE,
    "a reference to the whole": {"properties": {"child": {"$ref": "#"}}},
    "references with escapes": {
        "$defs": {"a/b": {}, "c~d": {}, "e%f": {}, "g h": {}},
        "allOf": [
            {"$ref": "#/$defs/a~1b"},
            {"$ref": "#/$defs/c~0d"},
            {"$ref": "#/$defs/e%25f"},
            {"$ref": "#/$defs/g%20h"},
        ],
    },
    "a reference into a list": {"anyOf": [{}, {"$ref": "#/anyOf/0"}]},
    "members that are called like keywords": {
        "properties": {"$ref": {}, "$id": {}, "$schema": {}, "$anchor": {}, "pattern": {}}
    },
    "data that looks like a schema": {
        "const": {"$ref": "https://example.com/x"},
        "default": {"$dynamicRef": "#x"},
        "examples": [{"$schema": "urn:x"}],
    },
    "every keyword that holds subschemas": {
        "not": {}, "if": {}, "then": {}, "else": True, "allOf": [{}], "anyOf": [{}], "oneOf": [{}],
        "dependentSchemas": {"a": {}}, "dependencies": {"a": ["b"], "b": {}},
        "additionalProperties": False, "unevaluatedProperties": {}, "propertyNames": {},
        "items": {}, "prefixItems": [{}], "contains": {}, "unevaluatedItems": {},
        "properties": {"a": {}}, "patternProperties": {"^a": {}}, "definitions": {"a": {}},
    },
    "wide, one member at a time": {"properties": {f"m{index}": {} for index in range(2000)}},
    "wide, all at once": {"anyOf": [{}] * (MAX_SUBSCHEMAS_PER_VALUE - 1)},
    "a long way on the same value": chain((MAX_SUBSCHEMAS_PER_VALUE - 2) // 2, "allOf"),
    "as many patterns as there may be": {
        "patternProperties": {f"^{index}": {} for index in range(MAX_PATTERNS - 1)},
        "properties": {"a": {"pattern": "x"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_f129_a_harmless_schema_is_stored_as_it_is(name):
    assert json.loads(schema_text(HARMLESS[name])) == HARMLESS[name]


NOT_UNDERSTOOD: dict[str, tuple[dict[str, Any], str]] = {
    "a reference over http": ({"$ref": "http://example.com/x"}, "schema.$ref"),
    "a reference over https": ({"items": {"$ref": "https://e.com/x#/a"}}, "schema.items.$ref"),
    "a reference to a file": ({"not": {"$ref": "file:///etc/passwd"}}, "schema.not.$ref"),
    "a relative reference": ({"$ref": "other.json"}, "schema.$ref"),
    "an empty reference": ({"$ref": ""}, "schema.$ref"),
    "a reference to the draft": ({"$ref": DRAFT}, "schema.$ref"),
    "a reference in a definition that nobody uses": (
        {"$defs": {"a": {"$ref": "urn:x"}}}, "schema.$defs.a.$ref",
    ),
    "a reference to nothing": ({"$ref": "#/$defs/none"}, "schema.$ref"),
    "a reference to no subschema": ({"$ref": "#/title", "title": "x"}, "schema.$ref"),
    "a reference to a list": ({"$ref": "#/allOf", "allOf": [{}]}, "schema.$ref"),
    "a reference to an anchor": ({"$ref": "#x", "$defs": {"x": {}}}, "schema.$ref"),
    "an anchor": ({"$defs": {"x": {"$anchor": "x"}}}, "schema.$defs.x.$anchor"),
    "a dynamic reference": ({"items": {"$dynamicRef": "#x"}}, "schema.items.$dynamicRef"),
    "a dynamic anchor": ({"$dynamicAnchor": "x"}, "schema.$dynamicAnchor"),
    "a recursive reference of 2019": ({"$recursiveRef": "#"}, "schema.$recursiveRef"),
    "draft 7": ({"$schema": "http://json-schema.org/draft-07/schema#"}, "schema.$schema"),
    "draft 2019-09": (
        {"$schema": "https://json-schema.org/draft/2019-09/schema"}, "schema.$schema",
    ),
    "a draft of ones own": ({"$schema": "https://e.com/draft"}, "schema.$schema"),
    "a draft that is no text": ({"$schema": 5}, "schema.$schema"),
    "another draft inside": ({"not": {"$schema": DRAFT}}, "schema.not.$schema"),
    "another base inside": ({"not": {"$id": "https://e.com/x"}}, "schema.not.$id"),
    "a circle of one": ({"$ref": "#"}, "schema.$ref"),
    "a circle through allOf": ({"allOf": [{"$ref": "#"}]}, "schema.allOf.0.$ref"),
    "a circle through not": ({"not": {"$ref": "#"}}, "schema.not.$ref"),
    "a circle through if": ({"if": {"$ref": "#"}}, "schema.if.$ref"),
    "a circle through dependentSchemas": (
        {"dependentSchemas": {"a": {"$ref": "#"}}}, "schema.dependentSchemas.a.$ref",
    ),
    "a circle of two": (
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}, ".$ref",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_f129_what_leads_outside_or_in_a_circle_is_refused_by_name(name):
    schema, field = NOT_UNDERSTOOD[name]
    with pytest.raises(InvalidRequest) as caught:
        schema_text(schema)
    assert caught.value.field is not None
    assert caught.value.field.startswith("schema")
    assert caught.value.field.endswith(field)


TOO_MUCH: dict[str, dict[str, Any]] = {
    "everything twice on each level": {
        "properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}
    },
    "everything twice through two keywords": {
        "additionalProperties": {"$ref": "#"},
        "patternProperties": {"a": {"$ref": "#"}},
    },
    "twice, and twice again": {
        "$defs": {
            **{f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(20)},
            "a20": {},
        },
        "$ref": "#/$defs/a0",
    },
    "too long a way on the same value": chain(MAX_SUBSCHEMAS_PER_VALUE // 2 + 1, "allOf"),
    "too wide at once": {"anyOf": [{}] * MAX_SUBSCHEMAS_PER_VALUE},
    "too wide below": {"items": {"oneOf": [{}] * MAX_SUBSCHEMAS_PER_VALUE}},
    "what is unevaluated, looked at again and again": {
        "$defs": {
            **{
                f"a{i}": {
                    "allOf": [{"$ref": f"#/$defs/a{i + 1}"}],
                    "unevaluatedProperties": {"type": "integer"},
                }
                for i in range(12)
            },
            "a12": {},
        },
        "$ref": "#/$defs/a0",
    },
    "too many patterns": {"patternProperties": {f"^{i}": {} for i in range(MAX_PATTERNS + 1)}},
    "patterns everywhere": {"anyOf": [{"pattern": f"{i}"} for i in range(MAX_PATTERNS + 1)]},
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_f129_a_schema_that_could_make_too_much_work_is_refused(name):
    with pytest.raises(InvalidRequest) as caught:
        schema_text(TOO_MUCH[name])
    assert caught.value.field == "schema"


def test_f129_a_schema_has_so_many_bytes_and_not_one_more():
    rest = len('{"title":""}')
    fits = {"title": "x" * (MAX_SCHEMA_BYTES - rest)}
    assert len(schema_text(fits)) == MAX_SCHEMA_BYTES
    with pytest.raises(InvalidRequest):
        schema_text({"title": fits["title"] + "x"})
    with pytest.raises(InvalidRequest):
        schema_text({"title": "\u00e9" * (MAX_SCHEMA_BYTES // 2)})


def test_f129_a_schema_has_so_many_levels_and_not_one_more():
    schema_text(nested(32))
    with pytest.raises(ProtocolError) as caught:
        schema_text(nested(33))
    assert caught.value.field == "schema"


def test_f129_a_million_alternatives_are_refused_at_once():
    with pytest.raises(ProtocolError):
        schema_text({"anyOf": [{}] * 1_000_000})


def refusal_of(schema: dict[str, Any]) -> InvalidRequest | ProtocolError | None:
    """What a schema is refused with; any other exception passes and fails the test."""
    try:
        schema_text(schema)
    except (InvalidRequest, ProtocolError) as error:
        return error
    return None


@given(json_values)
def test_f129_no_schema_makes_a_fault(value):
    for schema in (value, {"properties": value}, {"allOf": [value], "$ref": value}):
        error = refusal_of(schema) if isinstance(schema, dict) else None
        assert error is None or error.field

"""Which JSON Schemas may describe the payload of a custom event type (F-129).

A schema is a program that a stranger's payload runs. So it is the 2020-12 draft and no other, it
refers to nothing outside of itself, and how much work one value can make is bounded before the
schema is compiled: applying a subschema twice at each of many levels takes years, not seconds.

Not understood, and refused rather than ignored: `$dynamicRef`, anchors, and `$id` below the root,
which would give `#` another meaning.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import unquote

from ssf.protocol.errors import ProtocolError, printable
from ssf.protocol.json_values import MAX_DEPTH, quote, require_plain_json
from ssf.rules.errors import InvalidRequest

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES = 65_536
MAX_SUBSCHEMAS_PER_VALUE = 1_000
"""Subschemas that one value, and the values around it, may be held against, all in all."""

MAX_PATTERNS = 20

_MAX_VALUE_DEPTH = MAX_DEPTH
"""A payload is not nested deeper, so that a schema that refers to itself comes to an end."""

_UNEVALUATED_FACTOR = 3
"""To know what is unevaluated, what applies in the same place is looked at again (measured)."""

_REFUSED = ("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$anchor")
_KEYWORDS: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("$defs", "definitions"), ("map", None)),
    **dict.fromkeys(("not", "if", "then", "else"), ("one", "same")),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), ("list", "same")),
    **dict.fromkeys(("dependentSchemas", "dependencies"), ("map", "same")),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties"), ("one", "inner")),
    **dict.fromkeys(("propertyNames", "items", "contains", "unevaluatedItems"), ("one", "inner")),
    "patternProperties": ("map", "inner"),
    "properties": ("map", "alternatives"),
    "prefixItems": ("list", "alternatives"),
}
"""How each keyword holds subschemas, and in which list of `_Subschema` they belong."""

_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")


@dataclass(slots=True)
class _Subschema:
    """One subschema, and where it sends the value.

    Attributes:
        at: Its JSON Pointer.
        same: Pointers of those that are applied to the same value.
        inner: Pointers of those that may be applied to one and the same inner value together.
        alternatives: Pointers of those of which one inner value meets at most one.
        ref: Its `$ref`, or None.
        same_factor: How many times `same` is gone through.
    """

    at: str
    same: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    ref: str | None = None
    same_factor: int = 1


def schema_text(schema: Mapping[str, Any]) -> str:
    """The text under which a schema is stored, once it is known to be harmless.

    Raises:
        InvalidRequest: It is too large, of another draft, refers to something outside of itself
            or to itself in a circle, or could make one payload too much work.
        ProtocolError: It is nested too deeply, or not JSON that we store.
    """
    require_plain_json(schema, "schema", ProtocolError)
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode("utf-8")) > MAX_SCHEMA_BYTES:
        raise InvalidRequest(f"schema may have {MAX_SCHEMA_BYTES} bytes.", field="schema")
    if schema.get("$schema", DRAFT) != DRAFT:
        raise _refused("", "$schema", f"is {DRAFT}, or left out")
    found = {subschema.at: subschema for subschema in _subschemas(schema)}
    for subschema in found.values():
        if subschema.ref is not None:
            subschema.same.append(_target(subschema, found))
    _require_few_patterns(schema, found)
    _require_little_work(found)
    return text


def _refused(pointer: str, keyword: str, rule: str) -> InvalidRequest:
    path = ".".join(("schema", *_parts(pointer), keyword))
    path = printable(path, 300)
    return InvalidRequest(f"{path}: {keyword} {rule}.", field=path)


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _within(pointer: str, *names: str | int) -> str:
    return pointer + "".join(
        f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in names
    )


def _subschemas(root: Mapping[str, Any]) -> Iterator[_Subschema]:
    """Every subschema of a schema, the schema itself first."""
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        at, schema = waiting.pop()
        subschema = _Subschema(at)
        yield subschema
        if not isinstance(schema, Mapping):
            continue  # true or false; anything else does not compile
        _require_plain_words(at, schema)
        for pointer, inner, where in _applied(at, schema):
            waiting.append((pointer, inner))
            if where is not None:
                getattr(subschema, where).append(pointer)
        ref = schema.get("$ref")
        subschema.ref = ref if isinstance(ref, str) else None
        if any(keyword in schema for keyword in _UNEVALUATED):
            subschema.same_factor = _UNEVALUATED_FACTOR


def _require_plain_words(at: str, schema: Mapping[str, Any]) -> None:
    for keyword in _REFUSED:
        if keyword in schema:
            raise _refused(at, keyword, "is not understood; use $ref with a JSON Pointer")
    for keyword in ("$id", "$schema"):
        if at and keyword in schema:
            raise _refused(at, keyword, "stands at the top of the schema only")


def _applied(at: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any, str | None]]:
    """Pointer of each subschema right under this one, itself, and where it belongs."""
    for keyword, (shape, where) in _KEYWORDS.items():
        value = schema.get(keyword)
        if keyword not in schema:
            continue
        if shape == "one":
            yield _within(at, keyword), value, where
        elif shape == "list" and isinstance(value, list):
            for index, inner in enumerate(value):
                yield _within(at, keyword, index), inner, where
        elif shape == "map" and isinstance(value, Mapping):
            for name, inner in value.items():
                yield _within(at, keyword, name), inner, where


def _target(subschema: _Subschema, found: Mapping[str, _Subschema]) -> str:
    ref = subschema.ref or ""
    if not ref.startswith("#"):
        raise _refused(
            subschema.at, "$ref", f"{quote(ref)} leads out of the schema; nothing is fetched"
        )
    pointer = unquote(ref[1:])
    if pointer not in found:
        raise _refused(
            subschema.at, "$ref", f"{quote(ref)} is not the place of a subschema, as #/$defs/x is"
        )
    return pointer


def _require_few_patterns(root: Mapping[str, Any], found: Mapping[str, _Subschema]) -> None:
    count = 0
    for at in found:
        schema = _at(root, at)
        if isinstance(schema, Mapping):
            named = schema.get("patternProperties")
            count += ("pattern" in schema) + (len(named) if isinstance(named, Mapping) else 0)
    if count > MAX_PATTERNS:
        raise InvalidRequest(
            f"schema may have {MAX_PATTERNS} regular expressions, not {count}.", field="schema"
        )


def _at(root: Any, pointer: str) -> Any:
    for part in _parts(pointer):
        root = root[int(part)] if isinstance(root, list) else root[part]
    return root


def _require_little_work(found: Mapping[str, _Subschema]) -> None:
    """Counts, for values of each depth, the subschemas met on the way to the deepest value."""
    try:
        order = list(TopologicalSorter({s.at: s.same for s in found.values()}).static_order())
    except CycleError as error:
        at = next(at for at in error.args[1] if found[at].ref is not None)
        raise _refused(
            at, "$ref", "leads back to itself without going deeper into the value"
        ) from None
    deeper = dict.fromkeys(found, 0)
    for _ in range(_MAX_VALUE_DEPTH):
        work: dict[str, int] = {}
        for at in order:
            one = found[at]
            count = 1 + one.same_factor * sum(work[to] for to in one.same)
            count += sum(deeper[to] for to in one.inner)
            count += max((deeper[to] for to in one.alternatives), default=0)
            work[at] = min(count, MAX_SUBSCHEMAS_PER_VALUE + 1)
        if work[""] > MAX_SUBSCHEMAS_PER_VALUE:
            raise InvalidRequest(
                f"schema holds one value against more than {MAX_SUBSCHEMAS_PER_VALUE} subschemas; "
                "make it simpler.",
                field="schema",
            )
        deeper = work

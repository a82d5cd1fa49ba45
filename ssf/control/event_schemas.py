"""Runs JSON Schemas: compiles them, and holds payloads against them.

Only schemas that passed `rules.event_schemas` come here. The library fetches nothing, and its
regular expressions run in linear time: those that could not (look-around, back references) and
those that would take too much memory do not compile.
"""

from functools import lru_cache
from typing import Any

import jsonschema_rs

from ssf.protocol.errors import MalformedEvent, printable
from ssf.rules.errors import InvalidRequest

_MAX_REGEX_BYTES = 1_000_000
"""What one compiled expression may take, and so may the table that is built as it runs."""

_COMPILED_KEPT = 32


def require_compilable(schema: str) -> None:
    """Refuses a text that is no JSON Schema.

    Raises:
        InvalidRequest: With the path of the keyword that is wrong.
    """
    try:
        _compiled(schema)
    except jsonschema_rs.ValidationError as error:
        path = _path("schema", error.instance_path)
        reason = (
            "is no regular expression that is matched in linear time and little memory"
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Format)
            else "is not what JSON Schema 2020-12 has here"
        )
        raise InvalidRequest(f"{path}: {reason}.", field=path) from None


def require_valid(payload: dict[str, Any], schema: str, *, field: str) -> None:
    """Refuses a payload that its schema does not permit.

    Args:
        payload: JSON that has been checked to be plain.
        schema: Text that compiles.
        field: Path of the payload, for errors.

    Raises:
        MalformedEvent: With the path of the first member that is wrong, and never its value.
    """
    try:
        _compiled(schema).validate(payload)
    except jsonschema_rs.ValidationError as error:
        path = _path(field, error.instance_path)
        name = _named_member(error, payload)
        if name is not None:
            path = f"{path}.{name}"
            reason = (
                "is required"
                if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required)
                else "is not permitted"
            )
            raise MalformedEvent(f"{reason} by the schema of this event type", field=path) from None
        reason = (
            "is not permitted by the schema of this event type"
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.FalseSchema)
            else f"does not fit the schema of this event type: {error.message}"
        )
        raise MalformedEvent(reason, field=path) from None


def _named_member(error: jsonschema_rs.ValidationError, payload: Any) -> str | None:
    """The member that is missing or too many, when that is what is wrong."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return kind.property
    if isinstance(
        kind,
        jsonschema_rs.ValidationErrorKind.AdditionalProperties
        | jsonschema_rs.ValidationErrorKind.UnevaluatedProperties,
    ):
        return kind.unexpected[0]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.FalseSchema):
        # So says `additionalProperties: false` without `properties`: no member is permitted.
        for name in error.instance_path:
            payload = payload[name]
        is_of_members = error.schema_path[-1:] == ["additionalProperties"]
        return next(iter(payload)) if is_of_members else None
    return None


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        schema,
        offline=True,
        mask="the value",
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=_MAX_REGEX_BYTES, dfa_size_limit=_MAX_REGEX_BYTES
        ),
    )


def _path(field: str, names: list[str | int]) -> str:
    path = field + "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)
    return printable(path, 300)

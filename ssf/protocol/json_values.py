"""Reading decoded JSON that a stranger wrote: types, lengths, depth, characters.

Every function names the offending member by path and raises the error class it is given, so the
same check serves subjects, events, tokens and stream configurations.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from ssf.protocol.errors import ProtocolError, printable

MAX_DEPTH: Final = 32
"""Levels of nesting accepted in values of unknown shape; far above any event in use."""

MAX_NODES: Final = 10_000
"""Members and array elements accepted in one value of unknown shape."""

MAX_INTEGER: Final = 2**63 - 1
"""Largest magnitude of an integer: what SQL databases and JSON libraries carry unharmed."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Line breaks and tabs are fine in prose; NUL is not (PostgreSQL text refuses it), and a lone
# surrogate cannot be written as UTF-8 at all.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def type_name(value: object) -> str:
    """Return the JSON name of a value's type, for error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "an array"


def quote(text: str) -> str:
    """Return text in quotes for an error message: printable, at most 60 characters."""
    return f"'{printable(text, 60)}'"


def has_control_characters(text: str) -> bool:
    """Say whether text holds C0 or C1 controls, DEL or lone surrogates."""
    return _CONTROL.search(text) is not None


def is_number(value: object) -> bool:
    """Say whether a value is a finite JSON number that we carry: not a boolean, not NaN."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    return isinstance(value, float) and math.isfinite(value)


def require_object(value: object, field: str, error: type[ProtocolError]) -> Mapping[str, Any]:
    """Return the value if it is a JSON object.

    Raises:
        ProtocolError: The class given as `error`, when it is anything else.
    """
    if not isinstance(value, Mapping):
        raise error(f"must be an object, not {type_name(value)}", field=field)
    for name in value:
        require_name(name, field, error)
    return value


def require_name(name: object, field: str, error: type[ProtocolError]) -> str:
    """Return a member name, which in JSON is always a string.

    Raises:
        ProtocolError: The class given as `error`: the caller built the object in Python.
    """
    if not isinstance(name, str):
        raise error("must have strings as member names", field=field)
    return name


def require_text(
    value: object, field: str, error: type[ProtocolError], *, max_chars: int, min_chars: int = 1
) -> str:
    """Return the value if it is a string of the right length without control characters.

    Args:
        value: The decoded JSON value.
        field: Path of the member, for the error.
        error: What to raise.
        max_chars: Longest text accepted, in Unicode code points.
        min_chars: Shortest text accepted; 0 lets the empty string pass.

    Raises:
        ProtocolError: The class given as `error`.
    """
    if not isinstance(value, str):
        raise error(f"must be a string, not {type_name(value)}", field=field)
    if len(value) < min_chars:
        raise error("must not be empty", field=field)
    if len(value) > max_chars:
        raise error(f"must have at most {max_chars} characters, not {len(value)}", field=field)
    if has_control_characters(value):
        raise error("must not hold control characters or lone surrogates", field=field)
    return value


def require_plain_json(
    value: object, field: str, error: type[ProtocolError], *, max_depth: int = MAX_DEPTH
) -> None:
    """Check a value of unknown shape: that it can be stored, signed and read back unchanged.

    Refused are nesting deeper than `max_depth`, more than `MAX_NODES` members, numbers that are
    NaN, infinite or beyond 64 bits, and strings holding NUL or lone surrogates. The walk is a
    loop, so depth cannot exhaust the stack.

    Raises:
        ProtocolError: The class given as `error`.
    """
    waiting: list[tuple[object, int]] = [(value, 1)]
    seen_count = 0
    while waiting:
        item, depth = waiting.pop()
        seen_count += 1
        if depth > max_depth:
            raise error(f"must not be nested deeper than {max_depth} levels", field=field)
        if isinstance(item, Mapping):
            for name in item:
                _require_plain_scalar(require_name(name, field, error), field, error)
            waiting.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, list | tuple):
            waiting.extend((inner, depth + 1) for inner in item)
        else:
            _require_plain_scalar(item, field, error)
        if seen_count + len(waiting) > MAX_NODES:
            raise error(f"must not have more than {MAX_NODES} members", field=field)


def _require_plain_scalar(item: object, field: str, error: type[ProtocolError]) -> None:
    if isinstance(item, str):
        if _UNSTORABLE.search(item):
            raise error("must not hold the NUL character or lone surrogates", field=field)
    elif item is not None and not isinstance(item, bool) and not is_number(item):
        raise error("must hold only JSON values, numbers finite and within 64 bits", field=field)


def copy_json(value: Any) -> Any:
    """Copy a JSON value, so that no caller shares arrays or objects with another.

    Args:
        value: A value that passed `require_plain_json`, so that its depth is bounded.
    """
    if isinstance(value, Mapping):
        return {name: copy_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [copy_json(inner) for inner in value]
    return value

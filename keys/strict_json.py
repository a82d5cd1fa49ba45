"""JSON that means the same to everybody who reads it.

Two readers that disagree about a document are how a check is passed with one meaning and acted
upon with another. So duplicate names, NaN, numbers that overflow, several encodings and half
characters are refused here, where the standard library lets them pass.

The work is done by the C scanner of the standard library; what is added per document on the
common path are a few substring counts.
"""

import json
import math
import re
from itertools import accumulate, islice
from typing import Any, Final, NoReturn

from keys.errors import InvalidJson

# 30 digits hold every 64-bit integer, timestamp in nanoseconds and phone number, while converting
# text of unlimited length to int costs quadratic time.
MAX_INTEGER_DIGITS: Final = 30

# The closing quote is optional and the repetition gives nothing back, so that each character is
# looked at once even when a string never ends.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}

_SUSPICIOUS_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SOUND_ESCAPE: Final = re.compile(
    r"""\\(?:["\\/bfnrt]"""
    r"""|u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"""
    r"""|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"""
)


def loads(
    data: bytes | str,
    *,
    max_bytes: int = 1_048_576,
    max_depth: int = 32,
    max_members: int = 10_000,
) -> Any:
    """Read one JSON text (RFC 8259), refusing whatever two readers may understand differently.

    Args:
        data: UTF-8 bytes without byte order mark, or text.
        max_bytes: Longest text in bytes of UTF-8; looked at before anything else.
        max_depth: Most objects and arrays inside each other; `[]` is 1. Looked at before parsing.
        max_members: Most object members and array elements in the whole text together; an empty
            object or array counts as if it had one. Looked at before parsing.

    Returns:
        The value. Integers have at most 30 digits, floats are finite, strings hold neither U+0000
        (PostgreSQL cannot store it, and all databases must answer the same) nor surrogates.

    Raises:
        InvalidJson: Any of the above, a duplicate name at any level, or no JSON at all. Nothing
            else is raised, whatever the input.
    """
    text = _decode(data, max_bytes)
    _check_shape(text, max_depth, max_members)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        # Raised below, outside this block: the decoder's error holds the whole document, which
        # may be a token, and would travel along as the cause.
        position = exc.pos
    except RecursionError:
        # Only when a caller allows more depth than the interpreter has left.
        raise InvalidJson("nested too deeply", "too_deep") from None
    except MemoryError:
        raise InvalidJson("too large", "too_large") from None
    else:
        _check_escapes(text)
        return value
    raise InvalidJson(f"not JSON at character {position}")


def loads_object(
    data: bytes | str,
    *,
    max_bytes: int = 1_048_576,
    max_depth: int = 32,
    max_members: int = 10_000,
) -> dict[str, Any]:
    """Read one JSON object; like `loads`, and anything but an object is refused.

    Raises:
        InvalidJson: See `loads`; code `invalid_json` for another kind of value.
    """
    value = loads(data, max_bytes=max_bytes, max_depth=max_depth, max_members=max_members)
    if not isinstance(value, dict):
        raise InvalidJson("not a JSON object")
    return value


def dumps(value: Any) -> str:
    """Write a value as compact JSON, members in their given order, non-ASCII as it is.

    Raises:
        InvalidJson: NaN, an infinity, a circle, a type that JSON lacks, U+0000 or a lone
            surrogate. The bounds of `loads` (size, depth, members, digits) are not looked at.
    """
    return _encode(_ENCODER, value)


def dumps_canonical(value: Any) -> str:
    """Write a value as `dumps` does, but with sorted names: equal values give equal text.

    Raises:
        InvalidJson: See `dumps`.
    """
    return _encode(_SORTING_ENCODER, value)


def _decode(data: bytes | str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise InvalidJson("too large", "too_large")
    if isinstance(data, str):
        if not data.isascii():
            try:
                size = len(data.encode("utf-8"))
            except UnicodeEncodeError:
                raise InvalidJson("a lone surrogate", "invalid_string") from None
            if size > max_bytes:
                raise InvalidJson("too large", "too_large")
        text = data
    else:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            raise InvalidJson("not UTF-8") from None
    if text.startswith("\ufeff"):
        raise InvalidJson("starts with a byte order mark")
    return text


def _check_shape(text: str, max_depth: int, max_members: int) -> None:
    # Counting characters costs next to nothing. It counts those inside strings too, so only when
    # the count is too high are the strings taken out and the rest looked at.
    openings = text.count("[") + text.count("{")
    if openings <= max_depth and openings + text.count(",") <= max_members:
        return
    bare = _STRING.sub("", text)
    openings = bare.count("[") + bare.count("{")
    if openings > max_depth:
        # Depth changes by one at a time, so looking for the first forbidden depth is enough. A
        # text that is still open after so many brackets has too many members anyway.
        brackets = islice(_BRACKET.finditer(bare), 2 * max_members + 1)
        if max_depth + 1 in accumulate(_STEP[bracket[0]] for bracket in brackets):
            raise InvalidJson("nested too deeply", "too_deep")
    if openings + bare.count(",") > max_members:
        raise InvalidJson("too many members", "too_large")


def _check_escapes(text: str) -> None:
    # The text has been parsed, so each backslash starts an escape. What remains of them after
    # the sound ones are taken out, from left to right, is U+0000 or half of a surrogate pair.
    if _SUSPICIOUS_ESCAPE.search(text) and "\\" in _SOUND_ESCAPE.sub("", text):
        raise InvalidJson("a string holds U+0000 or a lone surrogate", "invalid_string")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("a name occurs twice in one object", "duplicate_key")
    return members


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS + digits.startswith("-"):
        raise InvalidJson("an integer has too many digits")
    return int(digits)


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJson("a number is too large")
    return number


def _no_constant(_name: str) -> NoReturn:
    raise InvalidJson("NaN and infinities are not JSON")


def _encode(encoder: json.JSONEncoder, value: Any) -> str:
    try:
        text = encoder.encode(value)
        if not text.isascii():
            text.encode("utf-8")  # the encoder lets lone surrogates pass
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidJson(f"a value cannot be written as JSON: {type(exc).__name__}") from exc
    _check_escapes(text)
    return text


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_bounded_int,
    parse_float=_finite_float,
    parse_constant=_no_constant,
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SORTING_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
)

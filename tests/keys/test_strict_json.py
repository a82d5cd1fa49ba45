import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.errors import InvalidJson
from keys.strict_json import dumps, dumps_canonical, loads, loads_object

# Strings that both sides can hold: no surrogates, no U+0000.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30) + 1, 10**30 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def refusal(data: bytes | str, **limits: int) -> str:
    with pytest.raises(InvalidJson) as caught:
        loads(data, **limits)
    return caught.value.code


@settings(deadline=None)
@given(VALUES)
def test_what_the_standard_library_writes_is_read_with_the_same_meaning(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(deadline=None)
@given(VALUES)
def test_what_we_write_the_standard_library_reads_with_the_same_meaning(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(dumps_canonical(value)) == value
    assert loads(dumps(value)) == value


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
@example(b"")
@example(b"\xff")
@example("\ud800")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'"' + b'\\"' * 100_000)
@example(b"[" * 40 + b'"' + b'\\"' * 100_000)
@example(b"9" * 100_000)
@example(b"-" + b"9" * 31)
@example(b"\\u0000")
def test_nothing_but_invalid_json_is_ever_raised(data: bytes | str) -> None:
    try:
        value = loads(data)
    except InvalidJson:
        return
    assert json.loads(data) == value


@settings(deadline=None)
@given(st.text('[]{}",:\\u0dD8ace1 -.\ud800', max_size=60))
def test_texts_that_look_like_json_are_refused_or_read_as_the_standard_library_does(
    text: str,
) -> None:
    try:
        value = loads(text, max_depth=3, max_members=5)
    except InvalidJson:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"  ", "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b"{}x", "invalid_json"),
        (b"[1,]", "invalid_json"),
        (b"{'a':1}", "invalid_json"),
        (b"01", "invalid_json"),
        (b"NaN", "invalid_json"),
        (b"[Infinity]", "invalid_json"),
        (b"-Infinity", "invalid_json"),
        (b"1e999", "invalid_json"),
        (b"-1e999", "invalid_json"),
        (b'"a\x00b"', "invalid_json"),
        (b'"tab\there"', "invalid_json"),
        (b'"\xff"', "invalid_json"),
        (b'"\xed\xa0\x80"', "invalid_json"),
        (b'"\xc0\x80"', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        ("\ufeff{}", "invalid_json"),
        ("{}".encode("utf-16"), "invalid_json"),
        ("{}".encode("utf-16-le"), "invalid_json"),
        ("{}".encode("utf-32"), "invalid_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'[{"x":[{"b":{"a":1,"a":2}}]}]', "duplicate_key"),
        (b'"\\u0000"', "invalid_string"),
        (b'{"a\\u0000":1}', "invalid_string"),
        (b'"\\ud800"', "invalid_string"),
        (b'"\\uDfFf"', "invalid_string"),
        (b'{"\\udc00":1}', "invalid_string"),
        (b'"\\udc00\\ud800"', "invalid_string"),
        (b'"\\ud800\\ud800\\udc00"', "invalid_string"),
        (b'"\\\\\\u0000"', "invalid_string"),
        pytest.param('"\ud800"', "invalid_string", id="a lone surrogate in text"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(
    data: bytes | str, code: str
) -> None:
    assert refusal(data) == code


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\uD83D\\uDE00\\u0001"', "😀\u0001"),
        (b'"\\uffff\\ud7ff\\ue000"', "\uffff\ud7ff\ue000"),
        ('"😀"', "😀"),
        (b" \n\t\r[ ] ", []),
        (b"1e-999", 0.0),
        (b"18446744073709551616", 2**64),
    ],
)
def test_what_only_looks_suspicious_is_read(data: bytes | str, value: Any) -> None:
    assert loads(data) == value


def test_the_size_limit_is_in_bytes_and_the_last_byte_counts() -> None:
    assert loads(b"[1]", max_bytes=3) == [1]
    assert refusal(b"[12]", max_bytes=3) == "too_large"
    assert loads('"ä"', max_bytes=4) == "ä"
    assert refusal('"ä"', max_bytes=3) == "too_large"


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_the_depth_limit_holds_at_n_and_n_plus_one(pair: str) -> None:
    opening = {"[": "[", "{": '{"a":'}[pair[0]]

    def nested(depth: int) -> str:
        return opening * (depth - 1) + pair + pair[1] * (depth - 1)

    loads(nested(32))
    assert refusal(nested(33)) == "too_deep"
    assert refusal(nested(20_000)) == "too_deep"


def test_brackets_inside_strings_and_side_by_side_are_not_depth() -> None:
    assert loads(json.dumps(["[{" * 500, '"]' * 500, "\\"])) == ["[{" * 500, '"]' * 500, "\\"]
    assert loads("[" + ",".join(["[[]]"] * 1000) + "]") == [[[]]] * 1000


def test_depth_is_noticed_behind_any_number_of_shallow_brackets() -> None:
    for count in (100, 2_000, 4_900):
        shallow = "[" + "[]," * count
        loads(shallow + "[" * 31 + "]" * 32)
        assert refusal(shallow + "[" * 32 + "]" * 33) == "too_deep"


def test_a_caller_who_allows_endless_depth_still_gets_invalid_json_only() -> None:
    deep = "[" * 200_000 + "]" * 200_000
    assert refusal(deep, max_depth=10**9, max_members=10**9) == "too_deep"


def test_the_member_limit_holds_at_n_and_n_plus_one() -> None:
    assert len(loads(json.dumps(list(range(10_000))))) == 10_000
    assert refusal(json.dumps(list(range(10_001)))) == "too_large"
    assert len(loads(json.dumps({str(n): n for n in range(10_000)}))) == 10_000
    assert refusal(json.dumps({str(n): n for n in range(10_001)})) == "too_large"
    assert loads(json.dumps("," * 20_000)) == "," * 20_000


def test_the_digit_limit_holds_at_n_and_n_plus_one() -> None:
    assert loads("9" * 30) == 10**30 - 1
    assert loads("-" + "9" * 30) == 1 - 10**30
    assert refusal("9" * 31) == "invalid_json"
    assert refusal("-" + "9" * 31) == "invalid_json"


def test_a_refusal_does_not_carry_the_text_along() -> None:
    with pytest.raises(InvalidJson) as caught:
        loads(b'{"token": "very secret"')
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("data", ["[]", '"a"', "1", "null", "true"])
def test_only_an_object_is_an_object(data: str) -> None:
    assert loads_object('{"a": 1}') == {"a": 1}
    with pytest.raises(InvalidJson, match="object"):
        loads_object(data)


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, [-math.inf], {"a": {1, 2}}, b"x", "\ud800", {"\udc00": 1}, "\0", circle()],
)
def test_what_would_not_be_read_is_not_written(value: Any) -> None:
    with pytest.raises(InvalidJson):
        dumps(value)
    with pytest.raises(InvalidJson):
        dumps_canonical(value)


def test_writing_is_compact_and_keeps_order_and_characters() -> None:
    assert dumps({"b": [1, "ä"], "a": None}) == '{"b":[1,"ä"],"a":null}'
    assert dumps_canonical({"b": [1, "ä"], "a": None}) == '{"a":null,"b":[1,"ä"]}'
    assert dumps("\\u0000") == '"\\\\u0000"'

"""Names that are handed out: their alphabet, their length, their order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.identifiers import (
    new_client_id,
    new_event_id,
    new_jti,
    new_secret,
    new_stream_id,
    time_ordered,
)

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
TIME_ORDERED = re.compile(r"[0-9a-v]{26}")
LAST_MICROSECOND = 2**56 - 1

times = st.integers(min_value=0, max_value=LAST_MICROSECOND)
nine_bytes = st.binary(min_size=9, max_size=9)


def always(value: bytes):
    """A source of randomness that says how many bytes it is asked for by failing on others."""

    def random_bytes(count: int) -> bytes:
        assert count == len(value)
        return value

    return random_bytes


@given(times, nine_bytes, times, nine_bytes)
def test_time_ordered_names_sort_by_time_whatever_was_drawn(one_at, one, other_at, other):
    names = [time_ordered(one_at, always(one)), time_ordered(other_at, always(other))]
    if one_at != other_at:
        assert (names[0] < names[1]) is (one_at < other_at)
    else:
        assert (names[0] == names[1]) is (one == other)


@given(times, nine_bytes)
def test_a_time_ordered_name_has_26_characters_of_0_to_9_and_a_to_v(now, drawn):
    name = time_ordered(now, always(drawn))
    assert TIME_ORDERED.fullmatch(name)
    assert name == time_ordered(now, always(drawn))


def test_names_of_following_microseconds_sort_even_with_the_least_lucky_draw():
    now = 1_800_000_000_000_000
    assert time_ordered(now, always(b"\xff" * 9)) < time_ordered(now + 1, always(b"\x00" * 9))


def test_time_lasts_until_the_year_4253_and_does_not_wrap():
    assert time_ordered(LAST_MICROSECOND, always(b"\xff" * 9)) == "v" * 25 + "s"
    with pytest.raises(OverflowError):
        time_ordered(LAST_MICROSECOND + 1, always(b"\x00" * 9))


@given(times, nine_bytes)
def test_a_jti_and_an_event_id_are_time_ordered_and_unreserved(now, drawn):
    jti, event_id = new_jti(now, always(drawn)), new_event_id(now, always(drawn))
    assert TIME_ORDERED.fullmatch(jti)
    assert event_id == f"evt_{jti}"
    assert UNRESERVED.fullmatch(event_id)


@given(st.binary(min_size=16, max_size=16))
def test_a_stream_id_is_128_random_bits_in_unreserved_characters(drawn):
    stream_id = new_stream_id(always(drawn))
    assert re.fullmatch(r"[0-9a-f]{32}", stream_id)
    assert UNRESERVED.fullmatch(stream_id)
    assert bytes.fromhex(stream_id) == drawn


@given(st.binary(min_size=12, max_size=12))
def test_a_client_id_is_recognisable_and_unreserved(drawn):
    client_id = new_client_id(always(drawn))
    assert re.fullmatch(r"rcv_[0-9a-f]{24}", client_id)
    assert UNRESERVED.fullmatch(client_id)
    assert bytes.fromhex(client_id.removeprefix("rcv_")) == drawn


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_holds_256_random_bits_behind_its_prefix(drawn):
    secret = new_secret("ssft", always(drawn))
    assert re.fullmatch(r"ssft_[A-Za-z0-9_-]{43}", secret)
    assert UNRESERVED.fullmatch(secret)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_no_bit_of_a_secret_is_lost(one, other):
    secrets = {new_secret("ssfs", always(one)), new_secret("ssfs", always(other))}
    assert len(secrets) == len({one, other})

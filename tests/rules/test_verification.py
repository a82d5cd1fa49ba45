"""`min_verification_interval`: who keeps it is never refused (SSF 1.0 §8.1.1, §8.1.4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.errors import VerificationTooSoon
from ssf.rules.verification import require_interval_elapsed

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND

times = st.integers(min_value=0, max_value=2**53)
intervals = st.integers(min_value=0, max_value=86_400)
gaps = st.integers(min_value=-10 * SECOND, max_value=86_500 * SECOND)


def refusal(last_at: int | None, now: int, interval_seconds: int) -> VerificationTooSoon | None:
    try:
        require_interval_elapsed(last_at, now, interval_seconds)
    except VerificationTooSoon as refused:
        return refused
    return None


@given(times, intervals)
def test_the_first_request_is_accepted(now, interval_seconds):
    assert refusal(None, now, interval_seconds) is None


@given(times, gaps, intervals)
def test_a_request_is_accepted_exactly_when_the_interval_is_over_or_the_clock_went_back(
    last_at, gap, interval_seconds
):
    accepted = refusal(last_at, last_at + gap, interval_seconds) is None
    assert accepted is (gap < 0 or gap >= interval_seconds * SECOND)


@given(times, st.integers(min_value=1, max_value=86_400), st.data())
def test_retry_after_is_never_too_short_and_never_a_whole_second_too_long(
    last_at, interval_seconds, data
):
    now = last_at + data.draw(
        st.integers(min_value=0, max_value=interval_seconds * SECOND - 1), label="gap"
    )
    refused = refusal(last_at, now, interval_seconds)
    assert refused is not None
    wait_seconds = refused.retry_after_seconds
    assert type(wait_seconds) is int
    assert 1 <= wait_seconds <= interval_seconds
    assert refusal(last_at, now + wait_seconds * SECOND, interval_seconds) is None
    assert refusal(last_at, now + (wait_seconds - 1) * SECOND, interval_seconds) is not None


@pytest.mark.parametrize(
    ("gap", "wait_seconds"),
    [
        pytest.param(0, 60, id="the same instant"),
        pytest.param(1, 60, id="1 us later"),
        pytest.param(1 * SECOND, 59, id="1 s later"),
        pytest.param(59 * SECOND, 1, id="59 s later"),
        pytest.param(60 * SECOND - 1, 1, id="1 us before the end"),
        pytest.param(60 * SECOND, None, id="the end"),
        pytest.param(-1, None, id="clock set back by 1 us"),
        pytest.param(-86_400 * SECOND, None, id="clock set back by a day"),
    ],
)
def test_an_interval_of_a_minute(gap, wait_seconds):
    refused = refusal(NOW, NOW + gap, 60)
    assert (None if refused is None else refused.retry_after_seconds) == wait_seconds


def test_an_interval_of_zero_refuses_nothing():
    assert refusal(NOW, NOW, 0) is None


def test_the_refusal_carries_the_interval_and_says_both_numbers():
    refused = refusal(NOW, NOW + 20 * SECOND, 60)
    assert refused is not None
    assert refused.min_verification_interval_seconds == 60
    assert "60 s" in refused.description
    assert "40 s" in refused.description

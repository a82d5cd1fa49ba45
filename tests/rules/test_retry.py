"""When a delivery is tried again: the schedule of the reliability contract, clause 4."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.retry import RetryPolicy, clamp_retry_after, next_attempt_at

SECOND = 1_000_000
HOUR = 3_600 * SECOND
SCHEDULE_SECONDS = [5, 30, 120, 600, 1_800, 3_600, 7_200, 18_000, 36_000, 43_200]
MAX_AGE = 72 * HOUR
JUST_BELOW_ONE = math.nextafter(1.0, 0.0)

times = st.integers(min_value=0, max_value=2**53)
attempts = st.integers(min_value=1, max_value=500)
draws = st.floats(min_value=0, max_value=1, exclude_max=True)
ages = st.integers(min_value=0, max_value=MAX_AGE - 1)


def longest_wait_seconds(attempt: int) -> int:
    return SCHEDULE_SECONDS[min(attempt, len(SCHEDULE_SECONDS)) - 1]


def wait(attempt: int, draw: float, *, age: int = 0, first_due_at: int = 0, **further: int) -> int:
    failed_at = first_due_at + age
    again_at = next_attempt_at(
        attempt=attempt,
        failed_at=failed_at,
        first_due_at=first_due_at,
        policy=RetryPolicy(),
        random=lambda: draw,
        **further,
    )
    assert again_at is not None
    return again_at - failed_at


@pytest.mark.parametrize(
    ("attempt", "longest_seconds"),
    [*enumerate(SCHEDULE_SECONDS, start=1), (11, 43_200), (12, 43_200), (10_000, 43_200)],
)
def test_the_longest_wait_is_the_one_of_the_table(attempt, longest_seconds):
    longest = wait(attempt, JUST_BELOW_ONE)
    assert longest_seconds * SECOND - 1 <= longest <= longest_seconds * SECOND


@pytest.mark.parametrize("attempt", [1, 2, 5, 10, 99])
def test_the_shortest_wait_is_one_second(attempt):
    assert wait(attempt, 0.0) == SECOND


def test_half_a_draw_is_half_the_wait():
    assert wait(4, 0.5) == 300 * SECOND


@given(attempts, draws, times, ages)
def test_every_wait_is_between_one_second_and_the_table(attempt, draw, first_due_at, age):
    assert (
        SECOND
        <= wait(attempt, draw, age=age, first_due_at=first_due_at)
        <= longest_wait_seconds(attempt) * SECOND
    )


@given(attempts, draws)
def test_with_the_same_draw_a_later_attempt_never_waits_shorter(attempt, draw):
    assert wait(attempt, draw) <= wait(attempt + 1, draw)


@given(attempts, draws, draws)
def test_a_larger_draw_never_waits_shorter(attempt, one, other):
    assert wait(attempt, min(one, other)) <= wait(attempt, max(one, other))


@given(attempts, draws, st.integers(min_value=0, max_value=86_400))
def test_a_least_wait_is_kept_and_adds_nothing_beyond_it(attempt, draw, least_seconds):
    with_least = wait(attempt, draw, min_wait_seconds=least_seconds)
    assert with_least == max(wait(attempt, draw), least_seconds * SECOND)


@given(
    attempts,
    draws,
    times,
    st.integers(min_value=0, max_value=2 * MAX_AGE),
    st.none() | st.integers(min_value=1, max_value=86_400),
    st.integers(min_value=0, max_value=60),
)
def test_a_delivery_is_given_up_exactly_from_72_hours_on(
    attempt, draw, first_due_at, age, retry_after_seconds, min_wait_seconds
):
    again_at = next_attempt_at(
        attempt=attempt,
        failed_at=first_due_at + age,
        first_due_at=first_due_at,
        policy=RetryPolicy(),
        random=lambda: draw,
        retry_after_seconds=retry_after_seconds,
        min_wait_seconds=min_wait_seconds,
    )
    assert (again_at is None) is (age >= MAX_AGE)


@pytest.mark.parametrize(("age", "given_up"), [(MAX_AGE - 1, False), (MAX_AGE, True)])
def test_72_hours_are_counted_to_the_microsecond(age, given_up):
    again_at = next_attempt_at(
        attempt=1,
        failed_at=age,
        first_due_at=0,
        policy=RetryPolicy(),
        random=lambda: 0.5,
    )
    assert (again_at is None) is given_up


def test_a_clock_that_was_set_back_gives_nothing_up():
    assert wait(3, 0.5, age=-HOUR, first_due_at=2 * HOUR) == 60 * SECOND


@given(attempts, draws, ages, st.integers(min_value=1, max_value=86_400))
def test_what_the_receiver_asked_for_is_waited_exactly(attempt, draw, age, asked_seconds):
    assert wait(attempt, draw, age=age, retry_after_seconds=asked_seconds) == asked_seconds * SECOND


def test_another_policy_has_other_waits_and_another_age():
    policy = RetryPolicy(waits_seconds=(7, 11), max_age_seconds=100)

    def again_at(attempt: int, failed_at: int) -> int | None:
        return next_attempt_at(
            attempt=attempt,
            failed_at=failed_at,
            first_due_at=0,
            policy=policy,
            random=lambda: 0.5,
        )

    assert again_at(1, 0) == 3_500_000
    assert again_at(2, 0) == again_at(9, 0) == 5_500_000
    assert again_at(1, 100 * SECOND - 1) is not None
    assert again_at(1, 100 * SECOND) is None


def test_a_schedule_without_luck_has_fifteen_attempts():
    """The worst case of the table: every wait is the longest, until the age is reached."""
    failed_at, attempt = 0, 1
    while True:
        again_at = next_attempt_at(
            attempt=attempt,
            failed_at=failed_at,
            first_due_at=0,
            policy=RetryPolicy(),
            random=lambda: JUST_BELOW_ONE,
        )
        if again_at is None:
            break
        failed_at, attempt = again_at, attempt + 1
    # Nine waits of the table are 18 h 42 min 35 s; five of 12 h follow, the fourth ends at 66 h.
    assert (attempt, failed_at // HOUR) == (15, 78)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param(5, 5, id="5"),
        pytest.param(1, 1, id="the least"),
        pytest.param(0, 1, id="0"),
        pytest.param(-1, 1, id="-1"),
        pytest.param(-(10**12), 1, id="a date long past"),
        pytest.param(0.999, 1, id="less than a second"),
        pytest.param(86_399, 86_399, id="24 h less 1 s"),
        pytest.param(86_400, 86_400, id="24 h"),
        pytest.param(86_401, 86_400, id="24 h and 1 s"),
        pytest.param(999_999_999, 86_400, id="999999999"),
        pytest.param(1e99, 86_400, id="1e99"),
        pytest.param(math.inf, 86_400, id="infinite"),
    ],
)
def test_retry_after_is_clamped_to_one_second_and_one_day(asked, waited):
    clamped = clamp_retry_after(asked)
    assert (clamped, type(clamped)) == (waited, int)


@given(st.integers() | st.floats(allow_nan=False))
def test_a_clamped_retry_after_is_whole_seconds_within_its_bounds(asked):
    clamped = clamp_retry_after(asked)
    assert isinstance(clamped, int)
    assert 1 <= clamped <= 86_400
    if 1 <= asked <= 86_400:
        assert asked - 1 < clamped <= asked

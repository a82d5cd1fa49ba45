"""When a delivery that failed is tried again: one pure function.

| attempt that failed | longest wait before the next one |
|---|---|
| 1 | 5 s |
| 2 | 30 s |
| 3 | 2 min |
| 4 | 10 min |
| 5 | 30 min |
| 6 | 1 h |
| 7 | 2 h |
| 8 | 5 h |
| 9 | 10 h |
| 10 and later | 12 h, until the delivery is 72 h old |

Full jitter: each wait is drawn evenly between one second and the table's value, so that deliveries
that failed together do not come back together.
"""

from collections.abc import Callable
from dataclasses import dataclass

_MICROSECONDS = 1_000_000
_MINUTE = 60
_HOUR = 3_600

WAITS_SECONDS = (
    5,
    30,
    2 * _MINUTE,
    10 * _MINUTE,
    30 * _MINUTE,
    1 * _HOUR,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    12 * _HOUR,
)

WAIT_MIN_SECONDS = 1
RETRY_AFTER_MIN_SECONDS = 1
RETRY_AFTER_MAX_SECONDS = 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a target is retried. Data on the target, so that dialects can differ.

    Attributes:
        waits_seconds: Wait after the first, second, ... failed attempt; the last one repeats.
        max_age_seconds: A delivery older than this is given up.
    """

    waits_seconds: tuple[int, ...] = WAITS_SECONDS
    max_age_seconds: int = 72 * _HOUR


def next_attempt_at(
    *,
    attempt: int,
    failed_at: int,
    first_due_at: int,
    policy: RetryPolicy,
    random: Callable[[], float],
    retry_after_seconds: int | None = None,
    min_wait_seconds: int = 0,
) -> int | None:
    """When to try again.

    Args:
        attempt: How many attempts have failed by now; >= 1.
        failed_at: Microseconds UTC of this failure.
        first_due_at: Microseconds UTC at which the delivery was first due.
        policy: The schedule.
        random: Returns a number in [0, 1).
        retry_after_seconds: What the receiver asked for, already clamped; None when it did not.
        min_wait_seconds: Never sooner than this, whatever the table says.

    Returns:
        Microseconds UTC, or None when the delivery is to be given up.
    """
    if failed_at - first_due_at >= policy.max_age_seconds * _MICROSECONDS:
        return None
    if retry_after_seconds is not None:
        return failed_at + retry_after_seconds * _MICROSECONDS
    wait_seconds = policy.waits_seconds[min(attempt, len(policy.waits_seconds)) - 1]
    jittered = max(wait_seconds * random(), WAIT_MIN_SECONDS)
    return failed_at + int(max(jittered, min_wait_seconds) * _MICROSECONDS)


def clamp_retry_after(seconds: float) -> int:
    """A `Retry-After` of any size, as whole seconds within [1 s, 24 h]."""
    bounded = min(max(seconds, RETRY_AFTER_MIN_SECONDS), RETRY_AFTER_MAX_SECONDS)
    return int(bounded)

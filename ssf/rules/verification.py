"""May this stream be verified now? (SSF 1.0 §8.1.4.2, `min_verification_interval`)."""

from ssf.rules.errors import VerificationTooSoon

_MICROSECONDS = 1_000_000


def require_interval_elapsed(last_at: int | None, now: int, min_interval_seconds: int) -> None:
    """Refuses a verification request that comes before the interval is over.

    A receiver that kept the interval is never refused (SSF: "SHOULD NOT"), so a clock that was
    set back since the last request lets the request pass: how long ago it was cannot be known.

    Args:
        last_at: Microseconds UTC of the last accepted request; None when there was none.
        now: Microseconds UTC.
        min_interval_seconds: The interval that the stream configuration shows; 0 allows all.

    Raises:
        VerificationTooSoon: With the whole seconds that are left, rounded up.
    """
    if last_at is None or now < last_at:
        return
    left = last_at + min_interval_seconds * _MICROSECONDS - now
    if left > 0:
        raise VerificationTooSoon(
            retry_after_seconds=-(-left // _MICROSECONDS),
            min_verification_interval_seconds=min_interval_seconds,
        )

"""Names that we hand out: random where guessing must not help, time-ordered where rows pile up.

Time-ordered, because a unique index over random text costs several times more per row than one
that grows at its right edge.
"""

import base64
from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` outside of tests."""

_TIMESTAMP_BYTES = 7
_RANDOM_BYTES = 9


def time_ordered(now: int, random_bytes: RandomBytes) -> str:
    """26 characters `0-9a-v` that sort by time: 56 bits of microseconds, 72 random bits.

    Args:
        now: Microseconds since the epoch, UTC.
        random_bytes: Source of randomness.
    """
    raw = now.to_bytes(_TIMESTAMP_BYTES, "big") + random_bytes(_RANDOM_BYTES)
    return base64.b32hexencode(raw).decode("ascii").rstrip("=").lower()


def new_jti(now: int, random_bytes: RandomBytes) -> str:
    """A `jti` (RFC 8417 §2.2), unique over everything that this transmitter ever sends."""
    return time_ordered(now, random_bytes)


def new_event_id(now: int, random_bytes: RandomBytes) -> str:
    """The name of one event: `evt_` and 26 characters."""
    return f"evt_{time_ordered(now, random_bytes)}"


def new_stream_id(random_bytes: RandomBytes) -> str:
    """A `stream_id` of 32 hexadecimal digits: RFC 3986 unreserved (SSF 1.0 §8.1.1), unguessable."""
    return random_bytes(16).hex()


def new_client_id(random_bytes: RandomBytes) -> str:
    """The public name of a receiver: `rcv_` and 24 hexadecimal digits."""
    return f"rcv_{random_bytes(12).hex()}"


def new_secret(prefix: str, random_bytes: RandomBytes) -> str:
    """A secret of 256 random bits behind a prefix by which a leaked one can be recognised."""
    text = base64.urlsafe_b64encode(random_bytes(32)).decode("ascii").rstrip("=")
    return f"{prefix}_{text}"

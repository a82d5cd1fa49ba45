"""The only file that reads the wall clock. Everybody else takes a `Clock`."""

import time
from typing import Protocol

MICROSECONDS = 1_000_000


class Clock(Protocol):
    """Where the time comes from: the system, or a test."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC. May step backwards when the system clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never steps backwards."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

"""Handling each SET once, though transmitters may send it several times (RFC 8935 §2).

A SET is known by its issuer and `jti`. It counts as handled only when the block that handles it
has ended well, so a handler that raises, a cancelled request or a killed process never makes the
repeat look like a duplicate:

    async with guard.claim(iss, jti) as is_new:
        if is_new:
            ...  # leave normally: remembered. Leave by an exception: as if it had never come.

While one task is inside the block, others that claim the same SET wait for the outcome instead of
being told "duplicate": they would acknowledge an event whose handler may yet fail. When the first
fails, one of them takes its place. Who has waited too long gets `DuplicateInProgress`, and the
transmitter sends the SET again later.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from receiver.errors import DuplicateInProgress

DAY_SECONDS = 86_400.0


class ReplayGuard(Protocol):
    """Knows which SETs have been handled. `tests/conformance` holds what each must fulfil."""

    def claim(self, iss: str, jti: str) -> AbstractAsyncContextManager[bool]:
        """Claim a verified SET for the length of an `async with` block.

        The block gets True when the SET is to be handled now and False when it has been handled.
        Leaving the block without an exception is the moment from which it counts as handled; a
        guard that outlives the process must have stored that by then.

        Raises:
            DuplicateInProgress: On entering: another claim on this SET did not end in time.
        """


class MemoryReplayGuard:
    """A guard for one process and one event loop. Forgets everything when the process ends."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        keep_seconds: float = 7 * DAY_SECONDS,
        max_entries: int = 100_000,
        max_wait_seconds: float = 5.0,
    ) -> None:
        """Start with an empty memory.

        Args:
            monotonic: Seconds of a clock that never goes back.
            keep_seconds: How long a handled SET is remembered; > 0. As long as the transmitter
                may repeat it.
            max_entries: How many are remembered; >= 1, about 200 bytes each. When there are more,
                the oldest are forgotten: to handle an old SET twice is better than to refuse a
                new one.
            max_wait_seconds: How long a claim waits for another on the same SET; >= 0.

        Raises:
            ValueError: A number outside its range.
        """
        if keep_seconds <= 0 or max_entries < 1 or max_wait_seconds < 0:
            raise ValueError("keep_seconds and max_entries must be > 0, max_wait_seconds >= 0")
        self._monotonic = monotonic
        self._keep_seconds = keep_seconds
        self._max_entries = max_entries
        self._max_wait_seconds = max_wait_seconds
        # Oldest first. The clock never goes back, so the first to expire comes first too.
        self._handled: OrderedDict[bytes, float] = OrderedDict()
        self._in_progress: dict[bytes, asyncio.Event] = {}

    @asynccontextmanager
    async def claim(self, iss: str, jti: str) -> AsyncIterator[bool]:
        """Claim a SET; see `ReplayGuard.claim`."""
        key = _digest(iss, jti)
        await self._wait_for_others(key)
        if self._is_handled(key):
            yield False
            return
        # No await between the check above and this line, so nobody else got here meanwhile.
        ended = self._in_progress[key] = asyncio.Event()
        try:
            yield True
            self._remember(key)
        finally:
            del self._in_progress[key]
            ended.set()

    async def _wait_for_others(self, key: bytes) -> None:
        if key not in self._in_progress:
            return
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                while (ended := self._in_progress.get(key)) is not None:
                    await ended.wait()
        except TimeoutError:
            raise DuplicateInProgress("The same SET is being handled at this moment.") from None

    def _is_handled(self, key: bytes) -> bool:
        forget_at = self._handled.get(key)
        return forget_at is not None and self._monotonic() < forget_at

    def _remember(self, key: bytes) -> None:
        now = self._monotonic()
        # It may be there still, expired; moved to the end, so that the order stays that of time.
        self._handled.pop(key, None)
        self._handled[key] = now + self._keep_seconds
        while len(self._handled) > self._max_entries or next(iter(self._handled.values())) <= now:
            self._handled.popitem(last=False)


def _digest(iss: str, jti: str) -> bytes:
    # Both may be kilobytes long. The length in front keeps ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256(f"{len(iss)}:{iss}{jti}".encode()).digest()

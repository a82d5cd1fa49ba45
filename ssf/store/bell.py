"""The bell: says inside one process that there is something new, after the commit.

It only shortens the wait. Whoever listens also looks by itself now and then, so a ring that is
lost with its process delays an event and never loses it.
"""

import asyncio
from collections.abc import Collection
from typing import Self


class Bell:
    """Wakes those who wait for a key: a target's number, or `PUSH` for the push worker."""

    PUSH = 0
    """Rung when any push target has something due; no target has this number."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}

    def ring(self, key: int) -> None:
        """Wakes everybody who listens to this key."""
        for heard in self._waiting.get(key, ()):
            heard.set()

    def ring_all(self) -> None:
        """Wakes everybody: the process is about to end."""
        for key in tuple(self._waiting):
            self.ring(key)

    def listened_to(self) -> Collection[int]:
        """The keys that somebody listens to now."""
        return tuple(self._waiting)

    def listen(self, key: int) -> "Listener":
        """Listens from now on; what rings between this call and `wait` is not missed."""
        return Listener(self._waiting, key)


class Listener:
    """One listener; a context manager, so that a caller who goes away is forgotten."""

    def __init__(self, waiting: dict[int, set[asyncio.Event]], key: int) -> None:
        self._waiting = waiting
        self._key = key
        self._heard = asyncio.Event()

    def __enter__(self) -> Self:
        self._waiting.setdefault(self._key, set()).add(self._heard)
        return self

    def __exit__(self, *_exception: object) -> None:
        listeners = self._waiting[self._key]
        listeners.discard(self._heard)
        if not listeners:
            del self._waiting[self._key]

    def wake(self) -> None:
        """Wakes this one listener."""
        self._heard.set()

    async def wait(self, seconds: float) -> bool:
        """Waits for a ring, at most so long, and says whether there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

"""What the transmitter does by the clock and nobody asks for: one round of chores after another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ssf.log import Log, origin_of
from ssf.rules.storage_errors import StorageError

ROUND_SECONDS = 1.0
"""Between two rounds when there is nothing left to do."""

Chore = Callable[[], Awaitable[bool]]
"""Does a bounded piece of work; returns whether there may be more of it."""


class Rounds:
    """Goes round the chores until it is told to stop. Several nodes may do so at once."""

    def __init__(self, chores: Mapping[str, Chore], log: Log) -> None:
        """Prepares.

        Args:
            chores: By name, which is what the log calls them.
            log: Where lines go.
        """
        self._chores = chores
        self._log = log

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set; a chore under way ends first."""
        while not stopping.is_set():
            has_more = await self.run_once()
            try:
                async with asyncio.timeout(0 if has_more else ROUND_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def run_once(self) -> bool:
        """Does each chore once; returns whether any has more to do. Trouble ends none of them."""
        has_more = False
        for name, chore in self._chores.items():
            try:
                has_more = await chore() or has_more
            except StorageError as error:
                self._log.error(
                    "rounds.storage_trouble", chore=name, code=error.code, description=str(error)
                )
            except Exception as error:  # noqa: BLE001 - one chore must not end the others
                self._log.error("rounds.internal_fault", chore=name, **origin_of(error))
        return has_more

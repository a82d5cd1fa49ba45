"""The push worker: leases lanes that are due, drains each beside the others, listens for more.

A slow or dead receiver occupies its own lane and nothing else. The worker is woken by the bell;
it also looks by itself, since a ring does not outlive its process.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ssf.clock import MICROSECONDS, Clock
from ssf.delivery.lanes import LaneDrain, LaneLimits
from ssf.log import Log, origin_of
from ssf.rules.storage_errors import LeaseLost, StorageError
from ssf.rules.targets import LeasedTarget
from ssf.store import lanes
from ssf.store.bell import Bell
from ssf.store.database import Database

LOOK_SECONDS = 1.0
"""How often the worker looks for due lanes when no bell rings."""

LANES_AT_A_TIME = 64
STORAGE_TROUBLE_WAIT_SECONDS = 1.0


@dataclass(slots=True)
class Heartbeat:
    """When the worker last looked for work and could; monotonic seconds, None before that."""

    at: float | None = None


class PushWorker:
    """Drains lanes until it is told to stop."""

    def __init__(
        self,
        *,
        database: Database,
        drain: LaneDrain,
        bell: Bell,
        clock: Clock,
        limits: LaneLimits,
        owner: str,
        log: Log,
    ) -> None:
        """Prepares the worker.

        Args:
            owner: A name for people who look at the table of lanes; nothing depends on it.
        """
        self._database = database
        self._drain = drain
        self._bell = bell
        self._clock = clock
        self._limits = limits
        self._owner = owner
        self._log = log
        self._active = 0
        self.heartbeat = Heartbeat()

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set, then ends when the attempts under way have ended.

        Whoever sets `stopping` rings `Bell.PUSH` after it.
        """
        with self._bell.listen(Bell.PUSH) as bell:
            async with asyncio.TaskGroup() as draining:
                while not stopping.is_set():
                    wait_seconds = await self._begin_what_is_due(draining, stopping)
                    if wait_seconds > 0:
                        await bell.wait(wait_seconds)

    async def run_once(self) -> int:
        """Drains every lane that is due now, once; returns how many attempts were made."""
        never = asyncio.Event()
        attempts = 0
        for target in await self._lease(LANES_AT_A_TIME):
            attempts += await self._drain.drain(target, never)
        return attempts

    async def _begin_what_is_due(
        self, draining: asyncio.TaskGroup, stopping: asyncio.Event
    ) -> float:
        """Begins to drain what is due; returns the seconds until there may be more to do."""
        try:
            free = LANES_AT_A_TIME - self._active
            leased = await self._lease(free) if free and await self._is_any_due() else []
            self.heartbeat.at = self._clock.monotonic()
        except StorageError as error:
            self._log.error("worker.storage_trouble", code=error.code, description=str(error))
            await asyncio.sleep(STORAGE_TROUBLE_WAIT_SECONDS)
            return 0
        for target in leased:
            self._active += 1
            draining.create_task(self._drain_one(target, stopping))
        return 0 if leased else LOOK_SECONDS

    async def _is_any_due(self) -> bool:
        """Asked before leasing, since an idle worker should not take the write lock."""
        async with self._database.reading() as connection:
            return await lanes.is_any_due(connection, now=self._clock.now())

    async def _lease(self, limit: int) -> Sequence[LeasedTarget]:
        async with self._database.transaction() as transaction:
            return await lanes.lease(
                transaction,
                owner=self._owner,
                now=self._clock.now(),
                lease_microseconds=self._limits.lease_seconds * MICROSECONDS,
                limit=limit,
            )

    async def _drain_one(self, target: LeasedTarget, stopping: asyncio.Event) -> None:
        try:
            await self._drain.drain(target, stopping)
        except LeaseLost:
            self._log.warning("worker.lease_lost", target=target.id)
        except StorageError as error:
            self._log.error(
                "worker.storage_trouble",
                target=target.id,
                code=error.code,
                description=str(error),
            )
        except Exception as error:  # noqa: BLE001 - one lane must not end the worker of all others
            # Its lease runs out by itself, and the lane is tried again then.
            self._log.error("worker.internal_fault", target=target.id, **origin_of(error))
        finally:
            self._active -= 1
            self._bell.ring(Bell.PUSH)

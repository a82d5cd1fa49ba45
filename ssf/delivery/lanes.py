"""Drains one leased lane: a bounded slice, several requests in flight, never two of one subject."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssf.clock import MICROSECONDS, Clock
from ssf.delivery.outcomes import OutcomeBatch
from ssf.delivery.push import Pusher
from ssf.log import Log
from ssf.rules.deliveries import DeliveryState, DueDelivery, Recorded
from ssf.rules.storage_errors import StorageError
from ssf.rules.targets import LeasedTarget
from ssf.store import lanes
from ssf.store.database import Database
from ssf.store.deliveries import due_for_push

_RECORD_SECONDS = 5
"""Left of a lease when the last attempt may end, to record its outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """How much of one lane is worked on at a time.

    Attributes:
        slice_size: Deliveries read at once.
        in_flight: Requests to one receiver at a time.
        lease_seconds: How long a lease lasts.
        attempt_seconds: How long one attempt may take; shorter than the lease.
    """

    slice_size: int = 128
    in_flight: int = 16
    lease_seconds: int = 30
    attempt_seconds: int = 15


class LaneDrain:
    """Works off the lanes that a worker has leased."""

    def __init__(
        self, *, database: Database, pusher: Pusher, clock: Clock, limits: LaneLimits, log: Log
    ) -> None:
        self._database = database
        self._pusher = pusher
        self._clock = clock
        self._limits = limits
        self._log = log

    async def drain(self, target: LeasedTarget, stopping: asyncio.Event) -> int:
        """Sends what is due for a target until nothing is, or its turn is over; lets it go.

        Args:
            target: The leased target.
            stopping: Once set, no new attempt is begun.

        Returns:
            How many attempts were made.

        Raises:
            LeaseLost: Another worker holds the lane.
            StorageError: The database did not take an outcome; the lease runs out by itself.
        """
        looked_at = self._clock.now()
        turn = _Turn(
            stopping=stopping,
            clock=self._clock,
            ends_at=target.lease_expires_at
            - (self._limits.attempt_seconds + _RECORD_SECONDS) * MICROSECONDS,
        )
        slots = asyncio.Semaphore(self._limits.in_flight)
        batch = OutcomeBatch(self._database, target)
        async with self._database.reading() as connection:
            due = await due_for_push(
                connection,
                target.id,
                now=looked_at,
                limit=self._limits.slice_size,
                notices_only=target.notices_only,
            )
            if not await lanes.is_as_leased(connection, target):
                # Changed between the lease and this moment: the next lease sees how it is now.
                due, turn.has_skipped = (), True
        async with asyncio.TaskGroup() as sending:
            for queue in _by_subject(due):
                sending.create_task(self._send_in_order(target, queue, batch, slots, turn))
        if turn.failure is not None:
            raise turn.failure
        async with self._database.transaction() as transaction:
            await lanes.let_go(
                transaction,
                target,
                looked_at=looked_at,
                has_more=turn.has_skipped or len(due) == self._limits.slice_size,
                now=self._clock.now(),
                again_at=turn.again_at,
            )
        return turn.attempts

    async def _send_in_order(
        self,
        target: LeasedTarget,
        queue: Sequence[DueDelivery],
        batch: OutcomeBatch,
        slots: asyncio.Semaphore,
        turn: "_Turn",
    ) -> None:
        """Sends the SETs of one subject, each after the one before it has been settled."""
        for delivery in queue:
            # The slot is kept until the outcome is committed, since that is also when a stream
            # that was paused or changed meanwhile is noticed.
            async with slots:
                if turn.is_over():
                    turn.has_skipped = True
                    return
                turn.attempts += 1
                outcome = await self._pusher.attempt(target, delivery)
                try:
                    is_current = await batch.record(outcome)
                except StorageError as failure:
                    # Kept for later: raised here, it would cancel the others amid their writes.
                    turn.failure = turn.failure or failure
                    turn.is_closed = True
                    return
            self._log_attempt(target, delivery, outcome)
            if outcome.gate_seconds is not None or not is_current:
                turn.is_closed = True
            if outcome.state is DeliveryState.WAITING:
                turn.will_try_again(outcome.next_attempt_at)
                return

    def _log_attempt(self, target: LeasedTarget, delivery: DueDelivery, outcome: Recorded) -> None:
        self._log.info(
            "push.attempt",
            target=target.id,
            jti=delivery.jti,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            attempt=outcome.attempts,
            outcome=outcome.outcome,
            status=outcome.status,
            state=outcome.state.value,
        )


@dataclass(slots=True)
class _Turn:
    """How much longer one drain may begin attempts."""

    stopping: asyncio.Event
    clock: Clock
    ends_at: int
    attempts: int = 0
    is_closed: bool = False
    has_skipped: bool = False
    again_at: int | None = None
    failure: StorageError | None = None

    def will_try_again(self, at: int) -> None:
        self.again_at = at if self.again_at is None else min(self.again_at, at)

    def is_over(self) -> bool:
        return self.stopping.is_set() or self.is_closed or self.clock.now() >= self.ends_at


def _by_subject(due: Iterable[DueDelivery]) -> Iterable[Sequence[DueDelivery]]:
    queues: dict[bytes, list[DueDelivery]] = defaultdict(list)
    for delivery in due:
        queues[delivery.subject_key].append(delivery)
    return queues.values()

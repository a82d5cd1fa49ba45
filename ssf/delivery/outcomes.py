"""Outcomes on their way to the store: whatever has come together is written in one transaction.

An attempt counts once its outcome is committed under the fencing token of the lease. The next SET
of the same subject is sent only after that, so a crash cannot make an earlier one overtake it.
"""

import asyncio
from dataclasses import dataclass, field, replace

from ssf.clock import MICROSECONDS
from ssf.rules.deliveries import DeliveryState, Recorded
from ssf.rules.storage_errors import StorageError
from ssf.rules.targets import LeasedTarget
from ssf.store import lanes
from ssf.store.database import Database
from ssf.store.deliveries import record_outcomes


class OutcomeBatch:
    """Writes the outcomes of one lease; those that come while a write is under way go together."""

    def __init__(self, database: Database, target: LeasedTarget) -> None:
        self._database = database
        self._target = target
        self._collecting = _Batch()
        self._writing = asyncio.Lock()

    async def record(self, outcome: Recorded) -> bool:
        """Returns when the outcome is committed.

        Returns:
            Whether the target is still as it was leased; False: no further push may begin.

        Raises:
            LeaseLost: Another worker holds the lane; nothing was written.
            StorageError: Nothing was written.
        """
        batch = self._collecting
        batch.outcomes.append(outcome)
        async with self._writing:
            if batch is self._collecting:
                # The first of a batch to get here writes for all who joined it meanwhile.
                self._collecting = _Batch()
                await self._write(batch)
        if batch.is_current is None:
            raise StorageError("The outcome was not recorded.")
        return batch.is_current

    async def _write(self, batch: "_Batch") -> None:
        async with self._database.transaction() as transaction:
            is_current = await lanes.require_lease(transaction, self._target)
            outcomes = (
                batch.outcomes if is_current else [_of_another_way(o) for o in batch.outcomes]
            )
            await record_outcomes(transaction, outcomes)
            gates = [o.at + o.gate_seconds * MICROSECONDS for o in outcomes if o.gate_seconds]
            if gates:
                await lanes.close_gate(transaction, self._target, until=max(gates))
        batch.is_current = is_current


def _of_another_way(outcome: Recorded) -> Recorded:
    """What a receiver that was reached in another way said is no reason to wait with the new one."""
    if outcome.state is not DeliveryState.WAITING:
        return outcome
    return replace(outcome, next_attempt_at=outcome.at, gate_seconds=None)


@dataclass(slots=True)
class _Batch:
    outcomes: list[Recorded] = field(default_factory=list)
    is_current: bool | None = None
    """None until the batch is committed."""

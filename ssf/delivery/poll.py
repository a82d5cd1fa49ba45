"""Poll delivery (RFC 8936): acknowledgements first, then what waits, else a wait for the bell.

A SET stays until it is acknowledged, and may be handed out again until then. The wait holds
neither a transaction nor a connection to the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ssf.clock import Clock
from ssf.delivery.signing import SetSigner
from ssf.rules.deliveries import DueDelivery
from ssf.rules.targets import SetShape
from ssf.store import lanes
from ssf.store.bell import Bell
from ssf.store.database import Database
from ssf.store.deliveries import SetError, acknowledge, bury, waiting_for_poll

MAX_EVENTS = 1_000
"""Most SETs in one answer, whatever was asked for."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""An answer ends with the SET before the one that would make its SETs longer than this."""

_LOOK_SECONDS = 5.0
"""How often a waiting poll looks by itself; another process rings another bell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRequest:
    """A poll, checked (RFC 8936 §2.2).

    Attributes:
        max_events: At most so many SETs; 0 acknowledges only; None: no limit of the receiver's.
        return_immediately: Whether to answer at once though nothing waits.
        ack: The `jti` of SETs that the receiver has.
        set_errs: SETs that the receiver cannot take.
    """

    max_events: int | None = None
    return_immediately: bool = False
    ack: Sequence[str] = ()
    set_errs: Sequence[SetError] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """What a poll is answered (RFC 8936 §2.3).

    Attributes:
        sets: Compact SETs by their `jti`, oldest first.
        more_available: Whether more wait than these.
    """

    sets: Mapping[str, str] = field(repr=False)
    more_available: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledTarget:
    """What a poll needs to know of a target at one moment.

    Attributes:
        shape: How its SETs look.
        hands_out: Whether SETs may be handed out now; False holds the poll until they may.
        answers_at_once: Whether waiting makes no sense.
    """

    id: int
    audience: tuple[str, ...]
    shape: SetShape
    hands_out: bool
    answers_at_once: bool


class Poller:
    """Answers polls."""

    def __init__(
        self,
        *,
        database: Database,
        signer: SetSigner,
        bell: Bell,
        clock: Clock,
        wait_seconds: float,
        stopping: Callable[[], bool],
    ) -> None:
        """Prepares.

        Args:
            wait_seconds: Longest time that a poll is held open.
            stopping: Whether the process is about to end; then nothing is held open.
        """
        self._database = database
        self._signer = signer
        self._bell = bell
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._stopping = stopping

    async def settle(self, target_id: int, request: PollRequest) -> None:
        """Takes in what the receiver says of earlier SETs; committed when this returns.

        A `jti` that is unknown, somebody else's or settled already has no effect. One that is
        both acknowledged and in error counts as in error.
        """
        if not request.ack and not request.set_errs:
            return
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            await lanes.lock(transaction, target_id)
            if request.set_errs:
                await bury(transaction, target_id, request.set_errs, now=now)
            if request.ack:
                await acknowledge(transaction, target_id, request.ack, now=now)

    async def poll(
        self, target_id: int, find: Callable[[], Awaitable[PolledTarget]], request: PollRequest
    ) -> PollAnswer:
        """Hands out what waits for a target, or waits for it and then answers.

        Args:
            target_id: Whose bell to listen to.
            find: Looks the target up as it is at that moment; raises when it is gone.
            request: The poll, whose acknowledgements have been settled.
        """
        ends_at = self._clock.monotonic() + self._wait_seconds
        with self._bell.listen(target_id) as bell:
            while True:
                target = await find()
                waiting = await self._waiting(target, request)
                left_seconds = ends_at - self._clock.monotonic()
                if (
                    waiting
                    or request.return_immediately
                    or target.answers_at_once
                    or left_seconds <= 0
                    or self._stopping()
                ):
                    return await asyncio.to_thread(self._answer, target, waiting, request)
                await bell.wait(min(left_seconds, _LOOK_SECONDS))

    async def _waiting(self, target: PolledTarget, request: PollRequest) -> Sequence[DueDelivery]:
        """What waits, and one more when there is more than may be handed out."""
        if not target.hands_out:
            return ()
        async with self._database.reading() as connection:
            return await waiting_for_poll(connection, target.id, limit=_most(request) + 1)

    def _answer(
        self, target: PolledTarget, waiting: Sequence[DueDelivery], request: PollRequest
    ) -> PollAnswer:
        sets: dict[str, str] = {}
        size_bytes = 0
        for delivery in waiting[: _most(request)]:
            token = self._signer.token(delivery, target.audience, target.shape)
            size_bytes += len(token)
            if sets and size_bytes > MAX_ANSWER_BYTES:
                break
            sets[delivery.jti] = token
        return PollAnswer(sets=sets, more_available=len(waiting) > len(sets))


def _most(request: PollRequest) -> int:
    return MAX_EVENTS if request.max_events is None else min(request.max_events, MAX_EVENTS)

"""Poll delivery (RFC 8936): acknowledgements first, then what waits, else a wait for the bell.

A SET stays until it is acknowledged. One that was handed out is not given to another poll for a
while, so that two pollers of one stream do not both work on it; then it is handed out again. A
later SET of a subject waits for the one before it, as with push.

The wait holds neither a thread nor a transaction nor a connection, and asks the database nothing:
it ends when the bell rings, when something that was handed out may be handed out again, when the
client goes away or when the time is over.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ssf.clock import MICROSECONDS, Clock
from ssf.delivery.signing import SetSigner
from ssf.log import Log, origin_of
from ssf.store import lanes
from ssf.store.bell import Bell
from ssf.store.database import Database
from ssf.store.deliveries import (
    HandedOut,
    PollOutlook,
    SetError,
    acknowledge,
    hand_out,
    poll_outlook,
    set_errors,
    targets_with_due,
)

MAX_EVENTS = 1_000
"""Most SETs in one answer, whatever was asked for."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""About how long the SETs of one answer may be together; one is handed out in any case."""

_TARGETS_AT_ONCE = 1_000
_TOKEN_FACTOR = 1.34
"""What base64 makes of the bytes of a subject and a payload."""


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
        notices_only: Whether the target is paused or disabled: nothing else is handed out then.
        answers_at_once: Whether waiting makes no sense.
    """

    id: int
    audience: tuple[str, ...]
    notices_only: bool
    answers_at_once: bool


class PollingClient:
    """Whether who polls is still there. A client that hung up must not be handed anything."""

    def __init__(self) -> None:
        self.is_gone = False
        self._wake: Callable[[], None] | None = None

    def leave(self) -> None:
        """Says that the client went away; whoever waits for it stops waiting."""
        self.is_gone = True
        if self._wake is not None:
            self._wake()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Has `wake` called when the client goes away."""
        self._wake = wake


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
        visibility_seconds: int,
        stopping: Callable[[], bool],
        log: Log,
    ) -> None:
        """Prepares.

        Args:
            wait_seconds: Longest time that a poll is held open.
            visibility_seconds: How long a SET that was handed out is kept from other polls; 0
                hands it out again at once.
            stopping: Whether the process is about to end; then nothing is held open.
            log: Where lines go.
        """
        self._database = database
        self._signer = signer
        self._bell = bell
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._visibility_seconds = visibility_seconds
        self._stopping = stopping
        self._log = log

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
            in_error = {error.jti for error in request.set_errs}
            if request.set_errs:
                await set_errors(transaction, target_id, request.set_errs, now=now)
            ack = [jti for jti in request.ack if jti not in in_error]
            if ack:
                await acknowledge(transaction, target_id, ack, now=now)
        # What waited behind these, another SET of the same subject, may be handed out now.
        self._bell.ring(target_id)

    async def poll(
        self,
        target_id: int,
        find: Callable[[], Awaitable[PolledTarget]],
        request: PollRequest,
        client: PollingClient,
        *,
        wait_seconds: float | None = None,
    ) -> PollAnswer:
        """Hands out what waits, or waits for it.

        Args:
            target_id: The target.
            find: Looks at the target as it is now; its refusals end the poll.
            request: What was asked for.
            client: Who asks.
            wait_seconds: Longest time for this poll, when shorter than for all.
        """
        longest = self._wait_seconds if wait_seconds is None else wait_seconds
        ends_at = self._clock.monotonic() + min(longest, self._wait_seconds)
        # Listening begins before the first look, so nothing that comes between the two is missed.
        with self._bell.listen(target_id) as bell:
            client.wakes(bell.wake)
            while True:
                target = await find()
                outlook = await self._look(target)
                if outlook.is_any and not client.is_gone:
                    if request.max_events == 0:
                        return PollAnswer(sets={}, more_available=True)
                    handed_out = await self._hand_out(target, request, client)
                    if handed_out.deliveries:
                        return await asyncio.to_thread(self._answer, target, handed_out)
                    continue  # Another poll was faster, or the target has been changed.
                left_seconds = ends_at - self._clock.monotonic()
                if (
                    request.return_immediately
                    or target.answers_at_once
                    or left_seconds <= 0
                    or self._is_over_for(client)
                ):
                    return PollAnswer(sets={}, more_available=False)
                await bell.wait(min(left_seconds, self._seconds_until(outlook.next_at)))
                if self._is_over_for(client):
                    # Not one more question: thousands may end their wait in this moment.
                    return PollAnswer(sets={}, more_available=False)

    async def ring_due(self) -> bool:
        """Wakes the polls for which another process has made something due.

        One question for all polls of this process. Needed only where there may be other
        processes: within one, the bell is enough.

        Returns:
            False: there is never more to do at once.
        """
        polled = [target_id for target_id in self._bell.listened_to() if target_id != Bell.PUSH]
        for start in range(0, len(polled), _TARGETS_AT_ONCE):
            some = polled[start : start + _TARGETS_AT_ONCE]
            async with self._database.reading() as connection:
                due = await targets_with_due(connection, some, now=self._clock.now())
            for target_id in due:
                self._bell.ring(target_id)
        return False

    def _is_over_for(self, client: PollingClient) -> bool:
        return client.is_gone or self._stopping()

    async def _look(self, target: PolledTarget) -> PollOutlook:
        async with self._database.reading() as connection:
            return await poll_outlook(
                connection, target.id, now=self._clock.now(), notices_only=target.notices_only
            )

    async def _hand_out(
        self, target: PolledTarget, request: PollRequest, client: PollingClient
    ) -> HandedOut:
        async with self._database.transaction() as transaction:
            is_current = await lanes.lock_polled(
                transaction, target.id, notices_only=target.notices_only
            )
            # The wait for the lane may have been long enough for the client to go away.
            if client.is_gone or not is_current:
                return HandedOut(deliveries=(), has_more=False)
            now = self._clock.now()
            return await hand_out(
                transaction,
                target.id,
                limit=MAX_EVENTS
                if request.max_events is None
                else min(request.max_events, MAX_EVENTS),
                max_bytes=int(MAX_ANSWER_BYTES / _TOKEN_FACTOR),
                now=now,
                again_at=now + self._visibility_seconds * MICROSECONDS,
                notices_only=target.notices_only,
            )

    def _answer(self, target: PolledTarget, handed_out: HandedOut) -> PollAnswer:
        sets: dict[str, str] = {}
        for delivery in handed_out.deliveries:
            try:
                sets[delivery.jti] = self._signer.token(delivery, target.audience)
            except Exception as error:  # noqa: BLE001 - one SET that we cannot make must not stop the others
                self._log.error(
                    "poll.internal_fault",
                    target=target.id,
                    jti=delivery.jti,
                    event_id=delivery.event_id,
                    **origin_of(error),
                )
        return PollAnswer(sets=sets, more_available=handed_out.has_more)

    def _seconds_until(self, at: int | None) -> float:
        """Rounded up, since looking too early finds nothing and looks again."""
        if at is None:
            return math.inf
        return max(at - self._clock.now(), 0) / MICROSECONDS + 0.001

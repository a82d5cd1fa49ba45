"""The status of a stream: read and set by its receiver (SSF 1.0 §8.1.2).

A change that the receiver asks for makes no `stream-updated` event.
"""

from dataclasses import dataclass

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.control.streams import Streams
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream
from ssf.store import lanes, streams
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.deliveries import drop_waiting, make_waiting_due


async def apply_status(
    transaction: Connection,
    stream: Stream,
    *,
    status: StreamStatus,
    reason: str | None,
    now: int,
) -> None:
    """Writes the status of a stream and what it means to what waits.

    Paused holds it. Disabled drops it. Enabled makes it due at once, in order per subject.
    """
    await lanes.lock(transaction, stream.id)
    await streams.change_status(transaction, stream, status=status, reason=reason, now=now)
    if status is StreamStatus.DISABLED:
        await drop_waiting(transaction, stream.id, outcome="stream_disabled", now=now)
    if status is StreamStatus.ENABLED:
        await make_waiting_due(transaction, stream.id, now=now)
        await lanes.resume(transaction, stream.id, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatusView:
    """What a receiver sees.

    Attributes:
        reason: Why, in words for people; None when nobody said.
    """

    stream_id: str
    status: StreamStatus
    reason: str | None


class StreamStatuses:
    """What receivers may do with the status of their streams."""

    def __init__(self, database: Database, bell: Bell, clock: Clock, owned: Streams) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock
        self._streams = owned

    async def read(self, caller: Caller, stream_id: str) -> StreamStatusView:
        """The status of a stream.

        Raises:
            NotFound: This receiver has no such stream.
        """
        stream = await self._streams.visited(caller.require_receiver(), stream_id)
        return StreamStatusView(
            stream_id=stream.stream_id, status=stream.status, reason=stream.reason
        )

    async def read_facade(self, caller: Caller) -> StreamStatusView:
        """As `read`, for the one stream that the older profile knows, or the default one.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        stream = await self._streams.visited_facade(caller.require_receiver())
        return StreamStatusView(
            stream_id=stream.stream_id, status=stream.status, reason=stream.reason
        )

    async def change_facade(
        self, caller: Caller, *, status: StreamStatus, reason: str | None
    ) -> StreamStatusView:
        """As `change`, for the one stream that the older profile knows; makes it when missing.

        Raises:
            NotFound: There is none, and none is provided by itself; or it was deleted meanwhile.
        """
        receiver = caller.require_receiver()
        async with self._database.transaction() as transaction:
            stream = await self._streams.provide_facade(transaction, receiver)
        return await self.change(caller, stream.stream_id, status=status, reason=reason)

    async def change(
        self, caller: Caller, stream_id: str, *, status: StreamStatus, reason: str | None
    ) -> StreamStatusView:
        """Sets the status of a stream.

        Paused holds what waits and what comes. Disabled drops it. Enabled sends what was held,
        in order per subject.

        Raises:
            NotFound: This receiver has no such stream.
        """
        receiver = caller.require_receiver()
        await self._streams.heard_from(receiver, stream_id)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            stream = await self._streams.owned(transaction, receiver, stream_id, for_update=True)
            await apply_status(transaction, stream, status=status, reason=reason, now=now)
        self._bell.ring(Bell.PUSH)
        self._bell.ring(stream.id)
        return StreamStatusView(stream_id=stream_id, status=status, reason=reason)

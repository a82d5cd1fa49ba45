"""Changes of a stream's status that the transmitter makes itself: an operator, a timer.

Each is announced to the receiver by a `stream-updated` event (SSF 1.0 §8.1.5). The event is a
notice: it is sent whatever the status, so it still leaves when the stream has stopped, and it is
the last thing that does, since a lane that stops lets the pushes under way end first. After a
stream is enabled again the notice goes out beside what was held.

A change that the receiver asks for makes no event; that is `stream_status`.
"""

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.control.stream_status import apply_status
from ssf.log import Log
from ssf.pipeline.new_event import NewEvent
from ssf.pipeline.publish import Publisher
from ssf.protocol.event_types import STREAM_UPDATED
from ssf.protocol.ssf_events import StreamUpdated
from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.protocol.subjects import opaque_subject
from ssf.rules.deliveries import DeliveryKind
from ssf.rules.errors import NotFound
from ssf.rules.identifiers import RandomBytes, new_event_id
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream, inactive_at
from ssf.rules.targets import MatchedTarget
from ssf.store import receivers, streams
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database

INACTIVE_REASON = "inactive"
_STREAMS_AT_A_TIME = 100


class StreamTransitions:
    """Changes the status of streams and tells their receivers."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        bell: Bell,
        clock: Clock,
        random_bytes: RandomBytes,
        log: Log,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._bell = bell
        self._clock = clock
        self._random_bytes = random_bytes
        self._log = log

    async def change(
        self, caller: Caller, stream_id: str, *, status: StreamStatus, reason: str | None
    ) -> None:
        """Sets the status of any stream of the project, for an operator.

        Nothing is announced when the stream has this status already; the reason is kept.

        Raises:
            NotFound: The project has no such stream.
        """
        async with self._database.transaction() as transaction:
            stream = await streams.find_in_project(
                transaction, project_id=caller.project_id, stream_id=stream_id, for_update=True
            )
            if stream is None:
                raise NotFound("There is no such stream.", field="stream_id")
            await self._change(transaction, stream, status=status, reason=reason)
        self._announce(stream, status, reason)

    async def pause_inactive(self) -> bool:
        """Pauses streams of which nothing was heard for too long (SSF 1.0 §8.1.1).

        Returns:
            Whether there may be more.
        """
        async with self._database.reading() as connection:
            due = await streams.inactive_streams(
                connection, now=self._clock.now(), limit=_STREAMS_AT_A_TIME
            )
        for target_id in due:
            await self._pause_if_inactive(target_id)
        return len(due) == _STREAMS_AT_A_TIME

    async def _pause_if_inactive(self, target_id: int) -> None:
        async with self._database.transaction() as transaction:
            stream = await streams.find_by_number(transaction, target_id, for_update=True)
            # Looked at again, now that nobody else can change it: a sign of life may have come.
            if stream is None or not stream.is_inactive(self._clock.now()):
                return
            await streams.set_inactive_at(transaction, stream.id, None)
            receiver = await receivers.find_by_number(transaction, stream.receiver_id)
            # A sign of life that was under way while the timeout was taken away has written one.
            has_timeout = receiver.inactivity_timeout_seconds is not None
            if stream.status is not StreamStatus.ENABLED or not has_timeout:
                return
            await self._change(
                transaction, stream, status=StreamStatus.PAUSED, reason=INACTIVE_REASON
            )
        self._announce(stream, StreamStatus.PAUSED, INACTIVE_REASON)

    async def _change(
        self, transaction: Connection, stream: Stream, *, status: StreamStatus, reason: str | None
    ) -> None:
        now = self._clock.now()
        await apply_status(transaction, stream, status=status, reason=reason, now=now)
        if status is stream.status:
            return
        if status is StreamStatus.ENABLED:
            receiver = await receivers.find_by_number(transaction, stream.receiver_id)
            await streams.set_inactive_at(transaction, stream.id, inactive_at(receiver, now))
        await self._publisher.publish_to(
            transaction,
            NewEvent(
                project_id=stream.project_id,
                event_type=STREAM_UPDATED,
                subject=opaque_subject(stream.stream_id),
                payload=StreamUpdated(status=status.value, reason=reason).to_payload(),
            ),
            [MatchedTarget(id=stream.id, is_pushed=stream.method is DeliveryMethod.PUSH)],
            event_id=new_event_id(now, self._random_bytes),
            kind=DeliveryKind.NOTICE,
            now=now,
        )

    def _announce(self, stream: Stream, status: StreamStatus, reason: str | None) -> None:
        self._bell.ring(Bell.PUSH)
        self._bell.ring(stream.id)
        self._log.info(
            "stream.status_changed",
            stream_id=stream.stream_id,
            was=stream.status.value,
            status=status.value,
            reason=reason,
        )

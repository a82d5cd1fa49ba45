"""Verification: a receiver asks for an event by which it can see that its stream works.

The moment of the request and the event are written in one transaction, with the stream locked: of
two requests at the same instant exactly one passes, and one that fails uses up no interval.
"""

from ssf.clock import MICROSECONDS, Clock
from ssf.control.callers import Caller
from ssf.control.streams import Streams
from ssf.pipeline.new_event import NewEvent
from ssf.pipeline.publish import Publisher
from ssf.protocol.event_types import VERIFICATION
from ssf.protocol.ssf_events import Verification
from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.protocol.subjects import opaque_subject
from ssf.rules.deliveries import DeliveryKind, DeliveryState
from ssf.rules.errors import StreamNotEnabled
from ssf.rules.identifiers import RandomBytes, new_event_id
from ssf.rules.receivers import Receiver
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream
from ssf.rules.targets import MatchedTarget
from ssf.rules.verification import require_interval_elapsed
from ssf.store import streams
from ssf.store.database import Connection, Database
from ssf.store.deliveries import last_verification

_STREAMS_AT_A_TIME = 100


class Verifications:
    """What receivers may ask to see that their streams work (SSF 1.0 §8.1.4)."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        clock: Clock,
        random_bytes: RandomBytes,
        owned: Streams,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._random_bytes = random_bytes
        self._streams = owned

    async def request(self, caller: Caller, stream_id: str, *, state: str | None) -> None:
        """Sends a verification event down a stream.

        Args:
            state: Echoed unchanged; None: the event carries no `state`.

        Raises:
            NotFound: This receiver has no such stream.
            StreamNotEnabled: The stream is disabled and would hold nothing.
            VerificationTooSoon: The interval since the last request is not over.
        """
        receiver = caller.require_receiver()
        await self._streams.heard_from(receiver, stream_id)
        async with self._database.transaction() as transaction:
            stream = await self._streams.owned(transaction, receiver, stream_id, for_update=True)
            target = await self._request(transaction, receiver, stream, state)
        self._publisher.ring_for([target])

    async def request_on_facade(self, caller: Caller, *, state: str | None) -> None:
        """As `request`, for the one stream that the older profile knows."""
        receiver = caller.require_receiver()
        await self._streams.heard_from_facade(receiver)
        async with self._database.transaction() as transaction:
            stream = await self._streams.provide_facade(transaction, receiver)
            target = await self._request(transaction, receiver, stream, state)
        self._publisher.ring_for([target])

    async def _request(
        self, transaction: Connection, receiver: Receiver, stream: Stream, state: str | None
    ) -> MatchedTarget:
        now = self._clock.now()
        if stream.status is StreamStatus.DISABLED:
            raise StreamNotEnabled(
                "The stream is disabled, so a verification event would be dropped; enable it first."
            )
        require_interval_elapsed(
            stream.last_verification_at, now, receiver.min_verification_interval_seconds
        )
        await streams.record_verification(transaction, stream, now=now)
        return await self._send(transaction, stream, state=state, now=now)

    async def probe(self) -> bool:
        """Verifies, unasked and without `state`, the streams for which it is time.

        One whose last verification has not come back yet gets no other.

        Returns:
            Whether there may be more.
        """
        async with self._database.reading() as connection:
            due = await streams.streams_to_probe(
                connection, now=self._clock.now(), limit=_STREAMS_AT_A_TIME
            )
        for target_id in due:
            await self._probe(target_id)
        return len(due) == _STREAMS_AT_A_TIME

    async def _probe(self, target_id: int) -> None:
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            stream = await streams.find_by_number(transaction, target_id, for_update=True)
            if stream is None or stream.probe_interval_seconds is None:
                return
            await streams.set_probe(
                transaction,
                stream.id,
                interval_seconds=stream.probe_interval_seconds,
                at=now + stream.probe_interval_seconds * MICROSECONDS,
            )
            last = await last_verification(transaction, stream.id)
            is_out = last is not None and last.state is DeliveryState.WAITING
            if stream.status is not StreamStatus.ENABLED or is_out:
                return
            target = await self._send(transaction, stream, state=None, now=now)
        self._publisher.ring_for([target])

    async def _send(
        self, transaction: Connection, stream: Stream, *, state: str | None, now: int
    ) -> MatchedTarget:
        target = MatchedTarget(id=stream.id, is_pushed=stream.method is DeliveryMethod.PUSH)
        await self._publisher.publish_to(
            transaction,
            NewEvent(
                project_id=stream.project_id,
                event_type=VERIFICATION,
                subject=opaque_subject(stream.stream_id),
                payload=Verification(state=state).to_payload(),
            ),
            [target],
            event_id=new_event_id(now, self._random_bytes),
            kind=DeliveryKind.VERIFICATION,
            now=now,
        )
        return target

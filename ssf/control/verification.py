"""Verification: a receiver asks for an event by which it can see that its stream works.

The moment of the request and the event are written in one transaction, with the stream locked: of
two requests at the same instant exactly one passes, and one that fails uses up no interval.
"""

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.control.streams import Streams
from ssf.pipeline.new_event import NewEvent
from ssf.pipeline.publish import Publisher
from ssf.protocol.event_types import VERIFICATION
from ssf.protocol.ssf_events import Verification
from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.protocol.subjects import opaque_subject
from ssf.rules.errors import StreamNotEnabled
from ssf.rules.identifiers import RandomBytes, new_event_id
from ssf.rules.receivers import Receiver
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream
from ssf.rules.targets import MatchedTarget
from ssf.rules.verification import require_interval_elapsed
from ssf.store import streams
from ssf.store.database import Connection, Database


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
        async with self._database.transaction() as transaction:
            stream = await self._streams.owned(transaction, receiver, stream_id, for_update=True)
            target = await self._request(transaction, receiver, stream, state)
        self._publisher.ring_for([target])

    async def request_on_facade(self, caller: Caller, *, state: str | None) -> None:
        """As `request`, for the one stream that the older profile knows."""
        receiver = caller.require_receiver()
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
            now=now,
        )
        return target

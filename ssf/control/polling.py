"""Polling: a receiver fetches the SETs of its stream and says what it thinks of earlier ones."""

from ssf.control.callers import Caller
from ssf.control.streams import Streams
from ssf.delivery.poll import PollAnswer, PolledTarget, Poller, PollingClient, PollRequest
from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.rules.errors import WrongDeliveryMethod
from ssf.rules.receivers import Receiver
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream, set_shape
from ssf.store.database import Database
from ssf.store.deliveries import SetError

__all__ = ["PollAnswer", "PollRequest", "Polling", "PollingClient", "SetError"]


class Polling:
    """What receivers may do with the SETs of a poll stream (RFC 8936)."""

    def __init__(self, database: Database, poller: Poller, owned: Streams) -> None:
        self._database = database
        self._poller = poller
        self._streams = owned

    async def poll(
        self, caller: Caller, stream_id: str, request: PollRequest, client: PollingClient
    ) -> PollAnswer:
        """Settles what the receiver acknowledges, then hands out what waits.

        Raises:
            NotFound: This receiver has no such stream, or not any more.
            WrongDeliveryMethod: The stream is pushed.
        """
        receiver = caller.require_receiver()
        async with self._database.reading() as connection:
            stream = await self._streams.owned(connection, receiver, stream_id)
        return await self._poll(receiver, stream, request, client)

    async def poll_facade(
        self, caller: Caller, request: PollRequest, client: PollingClient
    ) -> PollAnswer:
        """As `poll`, for the one stream that the older profile knows."""
        receiver = caller.require_receiver()
        async with self._database.reading() as connection:
            stream = await self._streams.facade(connection, receiver)
        if not stream.id:
            async with self._database.transaction() as transaction:
                stream = await self._streams.provide_facade(transaction, receiver)
        return await self._poll(receiver, stream, request, client)

    async def _poll(
        self, receiver: Receiver, stream: Stream, request: PollRequest, client: PollingClient
    ) -> PollAnswer:
        _require_polled(stream)
        await self._streams.restart_timer(receiver, stream)
        await self._poller.settle(stream.id, request)

        async def find() -> PolledTarget:
            async with self._database.reading() as connection:
                now = await self._streams.owned(connection, receiver, stream.stream_id)
            _require_polled(now)
            return PolledTarget(
                id=now.id,
                audience=now.audience,
                shape=set_shape(now),
                notices_only=now.status is not StreamStatus.ENABLED,
                answers_at_once=now.status is StreamStatus.DISABLED,
            )

        timeout_seconds = receiver.inactivity_timeout_seconds
        return await self._poller.poll(
            stream.id,
            find,
            request,
            client,
            # A stream is not to become inactive while it is being polled.
            wait_seconds=None if timeout_seconds is None else timeout_seconds / 2,
        )


def _require_polled(stream: Stream) -> None:
    if stream.method is not DeliveryMethod.POLL:
        raise WrongDeliveryMethod(
            "This stream is pushed; to poll it, change its delivery method to poll first."
        )

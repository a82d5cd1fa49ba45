"""Streams: created, read, changed and deleted by the receivers that own them.

A change is a function from the current configuration to the new editable properties. It runs
inside the transaction that writes, with the stream locked, so nothing is changed unless all of it
passes, and two changes at once cannot lose one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from keys.secret_box import SecretBox
from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.control.event_types import EventCatalogue
from ssf.protocol.stream_configuration import Delivery, DeliveryMethod, StreamConfiguration
from ssf.rules.egress import EgressPolicy, check_url
from ssf.rules.endpoints import Endpoints
from ssf.rules.errors import Conflict, NotAuthenticated, NotFound, ReadOnlyMismatch
from ssf.rules.identifiers import RandomBytes, new_stream_id
from ssf.rules.receivers import Receiver
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import (
    EditableProperties,
    Profile,
    Stream,
    events_delivered,
    facade_stream,
    follow_terms,
    inactive_at,
    puts_subject_in_event,
    routed_event_types,
)
from ssf.store import lanes, receivers, streams
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.deliveries import drop_waiting, forget_attempts, make_waiting_due

Change = Callable[[StreamConfiguration], EditableProperties]
"""What a request makes of a configuration; raises a refusal when it may not."""


class Streams:
    """What receivers may do with their streams."""

    def __init__(
        self,
        *,
        database: Database,
        bell: Bell,
        clock: Clock,
        random_bytes: RandomBytes,
        secrets: SecretBox,
        catalogue: EventCatalogue,
        issuer: str,
        egress_policy: EgressPolicy,
        sse_auto_provision: bool,
    ) -> None:
        """Prepares.

        Args:
            issuer: The `iss` of every stream.
            egress_policy: Which push URLs are acceptable.
            sse_auto_provision: Whether the older profile shows a default stream to a receiver
                that has none.
        """
        self._database = database
        self._bell = bell
        self._clock = clock
        self._random_bytes = random_bytes
        self._secrets = secrets
        self._catalogue = catalogue
        self._issuer = issuer
        self._endpoints = Endpoints.of_issuer(issuer)
        self._egress_policy = egress_policy
        self._sse_auto_provision = sse_auto_provision

    # ------------------------------------------------------------------ SSF 1.0

    async def create(self, caller: Caller, asked: EditableProperties) -> StreamConfiguration:
        """Creates a stream (SSF 1.0 §8.1.1.1).

        Raises:
            Conflict: The receiver has as many streams as it may have.
            UrlRefused: The push URL is one that we would not call.
        """
        receiver = caller.require_receiver()
        blank = self._default_stream(receiver, Profile.SSF)
        new = self._edited(blank, asked, self._endpoints.poll_url(blank.stream_id))
        async with self._database.transaction() as transaction:
            receiver = await self._lock(transaction, receiver)
            stream = await self._add(transaction, receiver, new)
            supported = await self._catalogue.offered_to(transaction, receiver)
        return self.configuration(receiver, stream, supported)

    async def read(self, caller: Caller, stream_id: str) -> StreamConfiguration:
        """One stream (SSF 1.0 §8.1.1.2).

        Raises:
            NotFound: This receiver has no such stream.
        """
        receiver = caller.require_receiver()
        stream = await self.visited(receiver, stream_id)
        return self.configuration(receiver, stream, await self._supported(receiver))

    async def list_all(self, caller: Caller) -> Sequence[StreamConfiguration]:
        """All streams of the receiver, in the order in which they were made."""
        receiver = caller.require_receiver()
        async with self._database.reading() as connection:
            found = await streams.list_streams(connection, receiver.id)
            supported = await self._catalogue.offered_to(connection, receiver)
        return [self.configuration(receiver, stream, supported) for stream in found]

    async def change(self, caller: Caller, stream_id: str, change: Change) -> StreamConfiguration:
        """Changes a stream, all or nothing (SSF 1.0 §8.1.1.3, §8.1.1.4).

        Raises:
            NotFound: This receiver has no such stream.
            Refusal: Whatever `change` raises; then nothing was changed.
        """
        receiver = caller.require_receiver()
        await self.heard_from(receiver, stream_id)
        async with self._database.transaction() as transaction:
            receiver = await self._lock(transaction, receiver)
            stream = await self.owned(transaction, receiver, stream_id, for_update=True)
            supported = await self._catalogue.offered_to(transaction, receiver)
            changed = await self._change(
                transaction,
                receiver,
                stream,
                change(self.configuration(receiver, stream, supported)),
                self._endpoints.poll_url(stream_id),
            )
        self._ring_for(changed)
        return self.configuration(receiver, changed, supported)

    async def delete(self, caller: Caller, stream_id: str) -> None:
        """Deletes a stream; what waited for it is dropped (SSF 1.0 §8.1.1.5).

        Raises:
            NotFound: This receiver has no such stream.
        """
        receiver = caller.require_receiver()
        async with self._database.transaction() as transaction:
            stream = await self.owned(transaction, receiver, stream_id, for_update=True)
            await self._remove(transaction, stream)
        self._bell.ring(stream.id)

    # ------------------------------------------------------------------ the older profile

    async def read_facade(self, caller: Caller) -> StreamConfiguration:
        """The one stream that the older profile shows, or the default one that could be.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        receiver = caller.require_receiver()
        stream = await self.visited_facade(receiver)
        return self._sse_configuration(receiver, stream, await self._supported(receiver))

    async def replace_facade(self, caller: Caller, change: Change) -> StreamConfiguration:
        """Replaces the configuration of that stream, all or nothing; makes it when it is missing.

        Raises:
            NotFound: There is none, and none is provided by itself.
            Refusal: Whatever `change` raises; then nothing was changed.
        """
        receiver = caller.require_receiver()
        await self.heard_from_facade(receiver)
        async with self._database.transaction() as transaction:
            receiver = await self._lock(transaction, receiver)
            stream = await self.facade(transaction, receiver, for_update=True)
            supported = await self._catalogue.offered_to(transaction, receiver)
            asked = change(self._sse_configuration(receiver, stream, supported))
            poll_url = self._endpoints.sse_poll_url
            if stream.id:
                changed = await self._change(transaction, receiver, stream, asked, poll_url)
            else:
                new = self._edited(stream, asked, poll_url)
                changed = await self._add(transaction, receiver, new)
        self._ring_for(changed)
        return self._sse_configuration(receiver, changed, supported)

    async def delete_facade(self, caller: Caller) -> None:
        """Deletes that stream. Without one, the wish is fulfilled already.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        receiver = caller.require_receiver()
        async with self._database.transaction() as transaction:
            await self._lock(transaction, receiver)
            stream = await self.facade(transaction, receiver, for_update=True)
            if stream.id:
                await self._remove(transaction, stream)
        self._bell.ring(stream.id)

    async def provide_facade(self, transaction: Connection, receiver: Receiver) -> Stream:
        """That stream, written down when it was only the default until now.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        receiver = await self._lock(transaction, receiver)
        stream = await self.facade(transaction, receiver, for_update=True)
        return stream if stream.id else await self._add(transaction, receiver, stream)

    # ------------------------------------------------------------------ for this layer

    async def visited(self, receiver: Receiver, stream_id: str) -> Stream:
        """A stream that its receiver names, read; its inactivity timer begins anew.

        Raises:
            NotFound: This receiver has no such stream.
        """
        async with self._database.reading() as connection:
            stream = await self.owned(connection, receiver, stream_id)
        await self.restart_timer(receiver, stream)
        return stream

    async def visited_facade(self, receiver: Receiver) -> Stream:
        """As `visited`, for the one stream that the older profile shows.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        async with self._database.reading() as connection:
            stream = await self.facade(connection, receiver)
        await self.restart_timer(receiver, stream)
        return stream

    async def heard_from(self, receiver: Receiver, stream_id: str) -> None:
        """Begins the inactivity timer of a stream anew: its receiver has named it.

        Before anything else and on its own, since a request that is refused is a sign of life too.

        Raises:
            NotFound: This receiver has a timeout, and no such stream.
        """
        if receiver.inactivity_timeout_seconds is not None:
            await self.visited(receiver, stream_id)

    async def heard_from_facade(self, receiver: Receiver) -> None:
        """As `heard_from`, for the one stream that the older profile shows."""
        if receiver.inactivity_timeout_seconds is not None:
            await self.visited_facade(receiver)

    async def _supported(self, receiver: Receiver) -> tuple[str, ...]:
        async with self._database.reading() as connection:
            return await self._catalogue.offered_to(connection, receiver)

    async def restart_timer(self, receiver: Receiver, stream: Stream) -> None:
        """Begins the inactivity timer of a stream anew (SSF 1.0 §8.1.1, `inactivity_timeout`).

        Writes only where there is one: most reading costs no transaction.
        """
        if receiver.inactivity_timeout_seconds is None or not stream.id:
            return
        async with self._database.transaction() as transaction:
            at = inactive_at(receiver, self._clock.now())
            await streams.set_inactive_at(transaction, stream.id, at)

    async def facade(
        self, connection: Connection, receiver: Receiver, *, for_update: bool = False
    ) -> Stream:
        """The one stream that the older profile shows; number 0 while it is nowhere yet.

        Raises:
            NotFound: There is none, and none is provided by itself.
        """
        found = await streams.list_streams(connection, receiver.id, for_update=for_update)
        stream = facade_stream(found)
        if stream is not None:
            return stream
        limit = receiver.max_streams
        is_at_limit = limit is not None and len(found) >= limit
        if is_at_limit or not self._sse_auto_provision:
            raise NotFound("There is no stream that this profile could show.")
        return self._default_stream(receiver, Profile.SSE)

    async def owned(
        self,
        connection: Connection,
        receiver: Receiver,
        stream_id: str,
        *,
        for_update: bool = False,
        for_share: bool = False,
    ) -> Stream:
        """A stream of this receiver.

        Args:
            connection: With `for_update` or `for_share` that of a writing transaction.
            receiver: Who is calling.
            stream_id: The name.
            for_update: Nobody else changes it meanwhile, and no event reaches it.
            for_share: It is not deleted meanwhile.

        Raises:
            NotFound: It has none of this name, whoever else may.
        """
        found = await streams.find_stream(
            connection,
            receiver_id=receiver.id,
            stream_id=stream_id,
            for_update=for_update,
            for_share=for_share,
        )
        if found is None:
            raise NotFound("There is no such stream.", field="stream_id")
        return found

    def configuration(
        self, receiver: Receiver, stream: Stream, supported: tuple[str, ...]
    ) -> StreamConfiguration:
        """A stream as its owner sees it; nobody else may be shown this.

        Args:
            supported: URIs of the event types on offer to the receiver.
        """
        sealed = stream.authorization_sealed
        return StreamConfiguration(
            stream_id=stream.stream_id,
            iss=self._issuer,
            aud=stream.audience,
            events_supported=supported,
            events_requested=stream.events_requested,
            events_delivered=events_delivered(supported, stream.events_requested or ()),
            delivery=Delivery(
                method=stream.method,
                endpoint_url=stream.endpoint_url or self._endpoints.poll_url(stream.stream_id),
                authorization_header=None
                if sealed is None
                else self.open_secret(stream.stream_id, sealed),
            ),
            min_verification_interval=receiver.min_verification_interval_seconds,
            description=stream.description,
            inactivity_timeout=receiver.inactivity_timeout_seconds,
            format=stream.format,
        )

    def open_secret(self, name: str, sealed: str) -> str:
        """Decrypts the stored `authorization_header` of the target of this name, and no other's."""
        return self._secrets.decrypt(sealed, context=_context(name)).decode("ascii")

    # ------------------------------------------------------------------ inside

    def _default_stream(self, receiver: Receiver, profile: Profile) -> Stream:
        """A stream that is nowhere yet: number 0, polled, asking for nothing."""
        now = self._clock.now()
        return Stream(
            id=0,
            project_id=receiver.project_id,
            stream_id=new_stream_id(self._random_bytes),
            receiver_id=receiver.id,
            profile=profile,
            status=StreamStatus.ENABLED,
            reason=None,
            method=DeliveryMethod.POLL,
            endpoint_url=None,
            authorization_sealed=None,
            audience=receiver.audience,
            events_requested=() if profile is Profile.SSE else None,
            description=None,
            format=None,
            last_verification_at=None,
            default_subjects=receiver.default_subjects,
            legacy_event_uris=receiver.legacy_event_uris,
            subject_in_event=puts_subject_in_event(receiver, profile),
            inactive_at=inactive_at(receiver, now),
            probe_interval_seconds=None,
            created_at=now,
            updated_at=now,
        )

    def _sse_configuration(
        self, receiver: Receiver, stream: Stream, supported: tuple[str, ...]
    ) -> StreamConfiguration:
        shown = self.configuration(receiver, stream, supported)
        if stream.method is DeliveryMethod.PUSH:
            return shown
        return replace(
            shown, delivery=replace(shown.delivery, endpoint_url=self._endpoints.sse_poll_url)
        )

    async def _add(self, transaction: Connection, receiver: Receiver, new: Stream) -> Stream:
        """Writes a stream that was made up before the receiver was locked by `_lock`."""
        new = follow_terms(new, receiver)
        new = replace(new, inactive_at=inactive_at(receiver, new.created_at))
        limit = receiver.max_streams
        if limit is not None and await streams.count_streams(transaction, receiver.id) >= limit:
            raise Conflict(
                f"This receiver may have {limit} stream(s) and has them; "
                "change or delete one instead."
            )
        return await streams.add_stream(transaction, new, event_types=_routed(receiver, new))

    async def _lock(self, transaction: Connection, receiver: Receiver) -> Receiver:
        """The receiver with its terms as they are now, which stay so until the transaction ends.

        Of two requests that both make a stream, one sees what the other has made.
        """
        found = await receivers.find_receiver(
            transaction,
            project_id=receiver.project_id,
            client_id=receiver.client_id,
            for_update=True,
        )
        if found is None:
            raise NotAuthenticated("The receiver has been removed.", presented=True)
        return found

    async def _change(
        self,
        transaction: Connection,
        receiver: Receiver,
        stream: Stream,
        asked: EditableProperties,
        poll_url: str,
    ) -> Stream:
        changed = self._edited(stream, asked, poll_url)
        await streams.change_stream(transaction, changed, event_types=_routed(receiver, changed))
        if _way(changed) != _way(stream):
            # What waits moves along, and need not wait for a way that is no more.
            now = self._clock.now()
            await lanes.lock(transaction, stream.id)
            await make_waiting_due(transaction, stream.id, now=now)
            await lanes.resume(transaction, stream.id, now=now)
            if changed.method is not stream.method:
                await forget_attempts(transaction, stream.id)
        return changed

    async def _remove(self, transaction: Connection, stream: Stream) -> None:
        await lanes.lock(transaction, stream.id)
        await drop_waiting(transaction, stream.id, outcome="stream_deleted", now=self._clock.now())
        await streams.remove_stream(transaction, stream, now=self._clock.now())

    def _edited(self, stream: Stream, asked: EditableProperties, poll_url: str) -> Stream:
        """The stream as it is asked to be; `poll_url` is the one that its profile shows."""
        delivery = asked.delivery
        is_push = delivery.method is DeliveryMethod.PUSH
        if not is_push:
            _require_own_poll_url(delivery.endpoint_url, poll_url)
        elif delivery.endpoint_url != stream.endpoint_url:
            check_url(delivery.endpoint_url, self._egress_policy, field="delivery.endpoint_url")
        return replace(
            stream,
            method=delivery.method,
            endpoint_url=delivery.endpoint_url if is_push else None,
            authorization_sealed=self._sealed(stream, delivery.authorization_header),
            events_requested=asked.events_requested,
            description=asked.description,
            format=asked.format,
            updated_at=self._clock.now(),
        )

    def _ring_for(self, changed: Stream) -> None:
        self._bell.ring(Bell.PUSH)
        self._bell.ring(changed.id)

    def _sealed(self, stream: Stream, authorization_header: str | None) -> str | None:
        if authorization_header is None:
            return None
        sealed = stream.authorization_sealed
        if (
            sealed is not None
            and self.open_secret(stream.stream_id, sealed) == authorization_header
        ):
            return sealed
        return self._secrets.encrypt(
            authorization_header.encode("ascii"), context=_context(stream.stream_id)
        )


def _routed(receiver: Receiver, stream: Stream) -> tuple[str, ...]:
    return routed_event_types(receiver.events_supported, stream.events_requested or ())


def _require_own_poll_url(sent: str | None, own: str) -> None:
    if sent is not None and sent != own:
        raise ReadOnlyMismatch(
            "The poll URL is supplied by the transmitter; leave it out.",
            field="delivery.endpoint_url",
        )


def _way(stream: Stream) -> tuple[str | None, ...]:
    """How a stream's receiver is reached."""
    return stream.method.value, stream.endpoint_url, stream.authorization_sealed


def _context(name: str) -> str:
    return f"targets/{name}/authorization_header"

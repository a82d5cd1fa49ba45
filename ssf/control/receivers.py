"""Receivers: added, listed, changed and removed by operators."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

from ssf.clock import Clock
from ssf.control.access_tokens import AccessTokens
from ssf.control.callers import Caller
from ssf.control.event_types import EventCatalogue
from ssf.protocol.event_types import PROTOCOL_EVENT_TYPE_URIS
from ssf.rules.errors import Conflict, InvalidRequest, NotFound
from ssf.rules.identifiers import RandomBytes, new_client_id, new_secret
from ssf.rules.receivers import Receiver, ReceiverTerms
from ssf.rules.storage_errors import AlreadyThere
from ssf.rules.streams import follow_terms, inactive_at, routed_event_types
from ssf.rules.subject_membership import DefaultSubjects
from ssf.store import lanes, receivers, streams
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.deliveries import drop_waiting

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceiver:
    """What an operator says about a receiver that is to be added.

    Attributes:
        name: 1 to 255 characters, unique.
        audience: At least one `aud` value.
        events_supported: URIs or short names on offer to it; None: all that we know.
        min_verification_interval_seconds: None: the server's default.
        max_streams: None: the server's default.
        default_subjects: None: the server's default.
        inactivity_timeout_seconds: >= 1; None: its streams are never inactive.
        legacy_event_uris: Whether verification and stream-updated carry the URIs of 2021.
        subject_in_event: Whether events carry the subject inside as well; None: by profile.
    """

    name: str
    audience: tuple[str, ...]
    events_supported: tuple[str, ...] | None = None
    min_verification_interval_seconds: int | None = None
    max_streams: int | None = None
    default_subjects: DefaultSubjects | None = None
    inactivity_timeout_seconds: int | None = None
    legacy_event_uris: bool = False
    subject_in_event: bool | None = None


class ReceiverChanges(TypedDict, total=False):
    """Terms that are to change, by the names and with the meanings of `NewReceiver`.

    One that is absent stays as it is; one that is None goes back to its default.
    """

    name: str
    audience: tuple[str, ...]
    events_supported: tuple[str, ...] | None
    min_verification_interval_seconds: int | None
    max_streams: int | None
    default_subjects: DefaultSubjects | None
    inactivity_timeout_seconds: int | None
    legacy_event_uris: bool
    subject_in_event: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverCredentials:
    """A new receiver and its secrets, which are shown this once."""

    receiver: Receiver
    client_secret: str = field(repr=False)
    access_token: str = field(repr=False)


class Receivers:
    """What operators may do with receivers."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        clock: Clock,
        random_bytes: RandomBytes,
        tokens: AccessTokens,
        catalogue: EventCatalogue,
        *,
        default_interval_seconds: int,
        default_max_streams: int,
        default_subjects: DefaultSubjects,
    ) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock
        self._random_bytes = random_bytes
        self._tokens = tokens
        self._catalogue = catalogue
        self._default_interval_seconds = default_interval_seconds
        self._default_max_streams = default_max_streams
        self._default_subjects = default_subjects

    async def add(self, caller: Caller, new: NewReceiver) -> ReceiverCredentials:
        """Adds a receiver.

        Raises:
            Conflict: The name is taken.
            InvalidRequest: An event type on offer is one that only we emit.
            UnknownEventType: An event type on offer is unknown.
        """
        agreed = self._terms(new, await self._offered(caller, new.events_supported))
        secret = new_secret("ssfs", self._random_bytes)
        # In a thread, since it takes a twentieth of a second on purpose.
        secret_hash = await asyncio.to_thread(_slow_hash, secret, self._random_bytes(16))
        try:
            async with self._database.transaction() as transaction:
                receiver = await receivers.add_receiver(
                    transaction,
                    project_id=caller.project_id,
                    client_id=new_client_id(self._random_bytes),
                    client_secret_hash=secret_hash,
                    agreed=agreed,
                    now=self._clock.now(),
                )
                token = await self._tokens.issue(transaction, receiver.id)
        except AlreadyThere:
            raise Conflict(
                f"There is a receiver named {new.name}; choose another name.", field="name"
            ) from None
        return ReceiverCredentials(receiver=receiver, client_secret=secret, access_token=token)

    def _terms(self, new: NewReceiver, offered: tuple[str, ...] | None) -> ReceiverTerms:
        interval_seconds = new.min_verification_interval_seconds
        return ReceiverTerms(
            name=new.name,
            audience=new.audience,
            events_supported=offered,
            min_verification_interval_seconds=self._default_interval_seconds
            if interval_seconds is None
            else interval_seconds,
            max_streams=new.max_streams or self._default_max_streams,
            default_subjects=new.default_subjects or self._default_subjects,
            inactivity_timeout_seconds=new.inactivity_timeout_seconds,
            legacy_event_uris=new.legacy_event_uris,
            subject_in_event=new.subject_in_event,
        )

    async def change(self, caller: Caller, client_id: str, changes: ReceiverChanges) -> Receiver:
        """Changes what is agreed with a receiver; its streams follow in the same transaction.

        What waits already is sent in the new way. A stream whose inactivity timeout changes is
        treated as if something had been heard of it now.

        Raises:
            NotFound: There is none of this `client_id`.
            Conflict: The name is taken.
            InvalidRequest: An event type on offer is one that only we emit.
            UnknownEventType: An event type on offer is unknown.
        """
        offered = await self._offered(caller, changes.get("events_supported"))
        try:
            async with self._database.transaction() as transaction:
                found = await receivers.find_receiver(
                    transaction, project_id=caller.project_id, client_id=client_id, for_update=True
                )
                if found is None:
                    raise NotFound("There is no such receiver.", field="client_id")
                changed = self._changed(found, changes, offered)
                await receivers.change_receiver(transaction, found.id, changed)
                await self._change_streams(transaction, found, changed)
        except AlreadyThere:
            raise Conflict(
                f"There is a receiver named {changes.get('name')}; choose another name.",
                field="name",
            ) from None
        return changed

    def _changed(
        self, receiver: Receiver, changes: ReceiverChanges, offered: tuple[str, ...] | None
    ) -> Receiver:
        """Only what is to change is judged: what is not was accepted when it was agreed."""
        asked = NewReceiver(name=receiver.name, audience=receiver.audience)
        terms = self._terms(replace(asked, **changes), offered)
        return replace(receiver, **{name: getattr(terms, name) for name in changes})

    async def _change_streams(
        self, transaction: Connection, before: Receiver, after: Receiver
    ) -> None:
        now = self._clock.now()
        for stream in await streams.list_streams(transaction, after.id, for_update=True):
            changed = follow_terms(stream, after)
            if after.inactivity_timeout_seconds != before.inactivity_timeout_seconds:
                changed = replace(changed, inactive_at=inactive_at(after, now))
            await streams.change_agreed(
                transaction,
                changed,
                event_types=routed_event_types(
                    after.events_supported, changed.events_requested or ()
                ),
            )

    async def _offered(
        self, caller: Caller, names: tuple[str, ...] | None
    ) -> tuple[str, ...] | None:
        """URIs of the event types that an operator wants to offer."""
        if names is None:
            return None
        field = "events_supported"
        uris: list[str] = []
        for name in names:
            found = await self._catalogue.find(caller.project_id, name, field=field)
            if found.uri in PROTOCOL_EVENT_TYPE_URIS:
                raise InvalidRequest(
                    f"{found.uri} is sent by the transmitter itself and is not offered.",
                    field=field,
                )
            uris.append(found.uri)
        return tuple(dict.fromkeys(uris))

    async def events_supported(self, found: Sequence[Receiver]) -> Sequence[tuple[str, ...]]:
        """URIs of the event types on offer to each of these receivers of one project."""
        return await self._catalogue.offered_to_each(found)

    async def page(self, caller: Caller, *, after_id: int, limit: int) -> Sequence[Receiver]:
        """A page of receivers in the order in which they were added."""
        async with self._database.reading() as connection:
            return await receivers.list_receivers(
                connection, project_id=caller.project_id, after_id=after_id, limit=limit
            )

    async def show(self, caller: Caller, client_id: str) -> Receiver:
        """One receiver.

        Raises:
            NotFound: There is none of this `client_id`.
        """
        async with self._database.reading() as connection:
            found = await receivers.find_receiver(
                connection, project_id=caller.project_id, client_id=client_id
            )
        if found is None:
            raise NotFound("There is no such receiver.", field="client_id")
        return found

    async def remove(self, caller: Caller, client_id: str) -> None:
        """Removes a receiver, its tokens and its streams; what waited for them is dropped.

        Raises:
            NotFound: There is none of this `client_id`.
        """
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            found = await receivers.find_receiver(
                transaction, project_id=caller.project_id, client_id=client_id, for_update=True
            )
            if found is None:
                raise NotFound("There is no such receiver.", field="client_id")
            owned = await streams.list_streams(transaction, found.id, for_update=True)
            for stream in owned:
                await lanes.lock(transaction, stream.id)
                await drop_waiting(transaction, stream.id, outcome="receiver_removed", now=now)
                await streams.remove_stream(transaction, stream, now=now)
            await receivers.remove_receiver(transaction, found.id)
        for stream in owned:
            self._bell.ring(stream.id)


def _slow_hash(secret: str, salt: bytes) -> str:
    digest = hashlib.scrypt(
        secret.encode("utf-8"), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P
    )
    words = (base64.b64encode(part).decode("ascii") for part in (salt, digest))
    return "$".join(("scrypt", str(_SCRYPT_N), str(_SCRYPT_R), str(_SCRYPT_P), *words))

"""What operators look at: streams, their subjects and deliveries, of their project."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.rules.deliveries import DeliveryState
from ssf.rules.errors import NotFound
from ssf.rules.streams import Stream
from ssf.store import deliveries, events, streams, subjects
from ssf.store.database import Database
from ssf.store.deliveries import Backlog, DeliveryRecord, VerificationRecord
from ssf.store.subjects import ListedSubject

__all__ = ["DeliveryRecord", "ListedSubject", "Operations", "StreamHealth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHealth:
    """A stream, and how it does.

    Attributes:
        stream: As it is stored.
        client_id: Its receiver.
        backlog: What waits and what was dropped.
        subjects: How many subjects are in its list.
        last_verification: The newest verification event, or None.
        last_confirmed: The newest one that came back, or None.
    """

    stream: Stream
    client_id: str
    backlog: Backlog
    subjects: int
    last_verification: VerificationRecord | None
    last_confirmed: VerificationRecord | None


class Operations:
    """Lists for operators; none of them shows a secret."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def streams(
        self, caller: Caller, *, after_id: int, limit: int
    ) -> Sequence[tuple[Stream, str]]:
        """A page of streams, each with the `client_id` of its receiver."""
        async with self._database.reading() as connection:
            return await streams.page_of_streams(
                connection, project_id=caller.project_id, after_id=after_id, limit=limit
            )

    async def stream(self, caller: Caller, stream_id: str) -> StreamHealth:
        """One stream with its health.

        Raises:
            NotFound: There is no such stream.
        """
        async with self._database.reading() as connection:
            page = await streams.page_of_streams(
                connection, project_id=caller.project_id, after_id=0, limit=1, stream_id=stream_id
            )
            if not page:
                raise NotFound("There is no such stream.", field="stream_id")
            [(found, client_id)] = page
            return StreamHealth(
                stream=found,
                client_id=client_id,
                backlog=await deliveries.backlog(connection, found.id),
                subjects=await subjects.count_subjects(connection, found.id),
                last_verification=await deliveries.last_verification(connection, found.id),
                last_confirmed=await deliveries.last_verification(
                    connection, found.id, delivered=True
                ),
            )

    async def set_probe(
        self, caller: Caller, stream_id: str, *, interval_seconds: int | None
    ) -> None:
        """Sets how often a stream is verified unasked, beginning now; None for never.

        Raises:
            NotFound: There is no such stream.
        """
        async with self._database.transaction() as transaction:
            found = await streams.find_in_project(
                transaction, project_id=caller.project_id, stream_id=stream_id, for_update=True
            )
            if found is None:
                raise NotFound("There is no such stream.", field="stream_id")
            await streams.set_probe(
                transaction,
                found.id,
                interval_seconds=interval_seconds,
                at=None if interval_seconds is None else self._clock.now(),
            )

    async def subjects(
        self, caller: Caller, stream_id: str, *, after_id: int, limit: int
    ) -> Sequence[ListedSubject]:
        """A page of a stream's list, in the order of the last change.

        Raises:
            NotFound: There is no such stream.
        """
        async with self._database.reading() as connection:
            found = await streams.find_in_project(
                connection, project_id=caller.project_id, stream_id=stream_id
            )
            if found is None:
                raise NotFound("There is no such stream.", field="stream_id")
            return await subjects.page_of_subjects(
                connection, found.id, after_id=after_id, limit=limit
            )

    async def purge_subjects(self) -> bool:
        """Deletes some of the subjects that are of no use any more; returns whether any were."""
        now = self._clock.now()
        # Asked before, since this runs every second and should seldom take the write lock.
        async with self._database.reading() as connection:
            if not await subjects.is_any_to_purge(connection, now=now):
                return False
        async with self._database.transaction() as transaction:
            return bool(await subjects.purge_subjects(transaction, now=now))

    async def deliveries(
        self,
        caller: Caller,
        *,
        event_id: str | None,
        stream_id: str | None,
        jti: str | None,
        state: DeliveryState | None,
        after_id: int,
        limit: int,
    ) -> Sequence[DeliveryRecord]:
        """A page of deliveries, oldest first, filtered by whatever is not None.

        Raises:
            NotFound: There is no such event.
        """
        async with self._database.reading() as connection:
            if event_id is not None and not await events.find_event(
                connection, project_id=caller.project_id, event_id=event_id
            ):
                raise NotFound("There is no such event.", field="event_id")
            return await deliveries.page_of_deliveries(
                connection,
                project_id=caller.project_id,
                event_id=event_id,
                stream_id=stream_id,
                jti=jti,
                state=state,
                after_id=after_id,
                limit=limit,
            )

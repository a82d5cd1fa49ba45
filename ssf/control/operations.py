"""What operators look at: streams and deliveries of their project."""

from collections.abc import Sequence

from ssf.control.callers import Caller
from ssf.rules.deliveries import DeliveryState
from ssf.rules.errors import NotFound
from ssf.rules.streams import Stream
from ssf.store import deliveries, events, streams
from ssf.store.database import Database
from ssf.store.deliveries import DeliveryRecord

__all__ = ["DeliveryRecord", "Operations"]


class Operations:
    """Lists for operators; none of them shows a secret."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def streams(
        self, caller: Caller, *, after_id: int, limit: int
    ) -> Sequence[tuple[Stream, str]]:
        """A page of streams, each with the `client_id` of its receiver."""
        async with self._database.reading() as connection:
            return await streams.page_of_streams(
                connection, project_id=caller.project_id, after_id=after_id, limit=limit
            )

    async def deliveries(
        self,
        caller: Caller,
        *,
        event_id: str | None,
        stream_id: str | None,
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
                state=state,
                after_id=after_id,
                limit=limit,
            )

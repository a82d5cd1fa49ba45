"""Explanations for operators: one event, and what became of it on each stream of the project."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ssf.control.callers import Caller
from ssf.protocol.event_types import PROTOCOL_EVENT_TYPE_URIS
from ssf.protocol.subjects import parse_subject
from ssf.rules.deliveries import DeliveryKind
from ssf.rules.errors import NotFound
from ssf.rules.events import StoredEvent
from ssf.rules.explanation import (
    ExplainedDelivery,
    Explanation,
    explain_made,
    explain_not_made,
)
from ssf.rules.streams import Stream
from ssf.rules.subject_membership import NOT_LISTED
from ssf.store import deliveries, events, streams, subjects
from ssf.store.database import Connection, Database
from ssf.store.deliveries import DeliveryRecord
from ssf.store.subjects import ListedSubject

__all__ = ["ExplainedStream", "Explanations", "StoredEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStream:
    """What became of one event on one stream.

    Attributes:
        id: Row number of the stream.
        stream_id: Its name.
        client_id: Its receiver.
        explanation: Why.
        delivery: The delivery that was made; None for none.
        matched_subject: The subject of the stream's list that decided; None when none did, or
            when it was changed or taken out since.
    """

    id: int
    stream_id: str
    client_id: str
    explanation: Explanation
    delivery: DeliveryRecord | None
    matched_subject: ListedSubject | None


class Explanations:
    """What operators may ask about an event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def event(
        self, caller: Caller, event_id: str, *, stream_id: str | None, after_id: int, limit: int
    ) -> tuple[StoredEvent, Sequence[ExplainedStream]]:
        """An event, and a page of the project's streams with what became of it there.

        Args:
            stream_id: Only this stream; None for all.

        Raises:
            NotFound: There is no such event, or no such stream.
        """
        async with self._database.reading() as connection:
            found = await events.find_event(
                connection, project_id=caller.project_id, event_id=event_id
            )
            if found is None:
                raise NotFound("There is no such event.", field="event_id")
            page = await streams.page_of_streams(
                connection,
                project_id=caller.project_id,
                after_id=after_id,
                limit=limit,
                stream_id=stream_id,
            )
            if stream_id is not None and not page:
                raise NotFound("There is no such stream.", field="stream_id")
            return found, await self._explained(connection, found, page)

    async def _explained(
        self, connection: Connection, event: StoredEvent, page: Sequence[tuple[Stream, str]]
    ) -> Sequence[ExplainedStream]:
        ids = [stream.id for stream, _ in page]
        made = await deliveries.of_event(connection, event.event_id, target_ids=ids)
        routed = await streams.routed(connection, event.event_type, target_ids=ids)
        # Read in the moment of the question: what a list said when the event came in is kept only
        # where it led to a delivery.
        said = await subjects.memberships(
            connection,
            project_id=event.project_id,
            event_type=event.event_type,
            subject=parse_subject(json.loads(event.subject)),
            now=event.created_at,
        )
        matched = await subjects.find_subjects(
            connection,
            [one.matched_subject_id for one in made.values() if one.matched_subject_id is not None],
        )
        audience = None if event.audience is None else frozenset(json.loads(event.audience))
        explained = []
        for stream, client_id in page:
            delivery = made.get(stream.id)
            if delivery is not None:
                explanation = explain_made(_facts(delivery), stream)
            else:
                explanation = explain_not_made(
                    stream,
                    created_at=event.created_at,
                    is_about_stream=event.event_type in PROTOCOL_EVENT_TYPE_URIS,
                    is_routed=stream.id in routed,
                    audience=audience,
                    membership=said.get(stream.id, NOT_LISTED),
                )
            number = None if delivery is None else delivery.matched_subject_id
            explained.append(
                ExplainedStream(
                    id=stream.id,
                    stream_id=stream.stream_id,
                    client_id=client_id,
                    explanation=explanation,
                    delivery=delivery,
                    matched_subject=None if number is None else matched.get(number),
                )
            )
        return explained


def _facts(delivery: DeliveryRecord) -> ExplainedDelivery:
    return ExplainedDelivery(
        kind=DeliveryKind(delivery.kind),
        state=delivery.state,
        attempts=delivery.attempts,
        last_outcome=delivery.last_outcome,
        matched_subject_id=delivery.matched_subject_id,
    )

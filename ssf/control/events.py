"""Events handed in by producers: checked against their definition before anything is stored."""

import hashlib
from dataclasses import dataclass
from typing import Any

from ssf.control.callers import Caller
from ssf.control.event_types import EventCatalogue, checked_payload, require_subject
from ssf.pipeline.new_event import IdempotencyKey, NewEvent, Published
from ssf.pipeline.publish import Publisher
from ssf.protocol.event_types import PROTOCOL_EVENT_TYPE_URIS
from ssf.protocol.subjects import parse_subject
from ssf.rules.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedEvent:
    """An event as a producer wrote it down.

    Attributes:
        event_type: URI or short name.
        type_field: Path of the event type in the request, for errors.
        event_field: Path of the payload in the request, for errors.
        subject: JSON value.
        subject_field: Path of the subject in the request, for errors.
        payload: JSON value.
        occurred_at_seconds: When it happened, seconds since the epoch; None: not said.
        audience: Only streams with one of these `aud` values; None: all that want it.
        idempotency_key: The producer's name for the request, or None.
        raw_body: The request as it came, against which a reused key is compared.
    """

    event_type: str
    type_field: str
    event_field: str
    subject: Any
    subject_field: str
    payload: Any
    txn: str | None
    occurred_at_seconds: float | None
    audience: tuple[str, ...] | None
    idempotency_key: str | None
    raw_body: bytes


class Events:
    """What producers may do."""

    def __init__(self, publisher: Publisher, catalogue: EventCatalogue) -> None:
        self._publisher = publisher
        self._catalogue = catalogue

    async def emit(self, caller: Caller, offered: OfferedEvent) -> Published:
        """Takes an event in; it is stored with all of its deliveries when this returns.

        Raises:
            MalformedEvent: The payload does not fit the event type, or the type is unknown.
            MalformedSubject: The subject is not a subject identifier, or not one that events of
                this type are about.
            InvalidRequest: The event type is one that only the transmitter emits.
            IdempotencyKeyReused: The key was used for another event.
        """
        event_type = await self._catalogue.find(
            caller.project_id, offered.event_type, field=offered.type_field
        )
        if event_type.uri in PROTOCOL_EVENT_TYPE_URIS:
            raise InvalidRequest(
                f"{event_type.name} events are made by the transmitter itself.",
                field=offered.type_field,
            )
        payload = checked_payload(event_type, offered.payload, field=offered.event_field)
        subject = parse_subject(offered.subject, field=offered.subject_field)
        require_subject(event_type, subject, field=offered.subject_field)
        event = NewEvent(
            project_id=caller.project_id,
            event_type=event_type.uri,
            subject=subject,
            payload=payload,
            txn=offered.txn,
            toe=offered.occurred_at_seconds,
            audience=None if offered.audience is None else frozenset(offered.audience),
        )
        return await self._publisher.publish(event, idempotency_key=self._key_of(caller, offered))

    def _key_of(self, caller: Caller, offered: OfferedEvent) -> IdempotencyKey | None:
        if offered.idempotency_key is None:
            return None
        return IdempotencyKey(
            caller=caller.name,
            key=offered.idempotency_key,
            request_hash=hashlib.sha256(offered.raw_body).digest(),
        )

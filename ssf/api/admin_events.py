"""`POST /admin/v1/events`: producers hand events in."""

import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ssf.api.admin_bodies import AdminBody, Word, Words, as_tuple, parsed
from ssf.api.operations import Operation
from ssf.api.request_body import MAX_EVENT_BODY_BYTES, MAX_EVENT_DEPTH, parse_object, raw_body
from ssf.api.responses import json_response
from ssf.control.callers import Caller
from ssf.control.events import Events, OfferedEvent
from ssf.rules.access import Scope
from ssf.rules.errors import InvalidRequest

_MAX_SECONDS = 253_402_300_799
"""The end of the year 9999."""


class EventBody(AdminBody):
    """An event to be emitted, by type, subject and payload."""

    event_type: Word
    subject: dict[str, Any]
    payload: dict[str, Any] = Field(default_factory=dict)
    txn: Word | None = None
    occurred_at: int | float | str | None = None
    audience: Word | Words | None = None


class SetShapedEventBody(AdminBody):
    """An event to be emitted, in the shape that it will have in the SET."""

    events: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]
    sub_id: dict[str, Any]
    txn: Word | None = None
    toe: int | float | None = None
    audience: Word | Words | None = None


class AdminEventsApi:
    """What producers may do."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def operations(self) -> list[Operation]:
        """The one operation."""
        return [
            Operation(
                method="POST",
                path="/admin/v1/events",
                scopes=(Scope.EVENTS_WRITE,),
                endpoint=self.emit,
            )
        ]

    async def emit(self, request: Request, caller: Caller) -> Response:
        """Takes an event in: 202 once it and its deliveries are stored."""
        raw = await raw_body(request, max_bytes=MAX_EVENT_BODY_BYTES)
        published = await self._events.emit(caller, _offered(request, raw))
        return json_response(
            {"event_id": published.event_id, "matched": published.matched},
            status=202,
            headers={"Idempotent-Replayed": "true"} if published.replayed else {},
        )


def _offered(request: Request, raw: bytes) -> OfferedEvent:
    body = parse_object(request, raw, max_depth=MAX_EVENT_DEPTH)
    key = _idempotency_key(request)
    if "events" in body:
        shaped = parsed(SetShapedEventBody, body)
        uri, payload = next(iter(shaped.events.items()))
        return OfferedEvent(
            event_type=uri,
            type_field=f"events.{uri}",
            event_field=f"events.{uri}",
            subject=shaped.sub_id,
            subject_field="sub_id",
            payload=payload,
            txn=shaped.txn,
            occurred_at_seconds=_seconds(shaped.toe, "toe"),
            audience=None if shaped.audience is None else as_tuple(shaped.audience),
            idempotency_key=key,
            raw_body=raw,
        )
    plain = parsed(EventBody, body)
    return OfferedEvent(
        event_type=plain.event_type,
        type_field="event_type",
        event_field="payload",
        subject=plain.subject,
        subject_field="subject",
        payload=plain.payload,
        txn=plain.txn,
        occurred_at_seconds=_seconds(plain.occurred_at, "occurred_at"),
        audience=None if plain.audience is None else as_tuple(plain.audience),
        idempotency_key=key,
        raw_body=raw,
    )


def _idempotency_key(request: Request) -> str | None:
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    key = values[0]
    if len(values) > 1 or not 0 < len(key) <= 255 or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(
            "Idempotency-Key is given once and has 1 to 255 visible ASCII characters.",
            field="Idempotency-Key",
        )
    return key


def _seconds(value: float | str | None, field: str) -> float | None:
    """Seconds since the epoch, from a number or an RFC 3339 text with an offset."""
    if isinstance(value, str):
        value = _from_rfc3339(value, field)
    if value is None:
        return None
    if not math.isfinite(value) or not 0 <= value <= _MAX_SECONDS:
        raise InvalidRequest(
            f"{field} is in seconds since 1970, not milliseconds, and not negative.", field=field
        )
    return value


def _from_rfc3339(text: str, field: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(
            f"{field} is a number of seconds or a time such as 2026-01-31T12:00:00Z.", field=field
        )
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds

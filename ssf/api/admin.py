"""`/admin/v1`: producers hand events in, operators add receivers and look at what happens."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ssf.api.operations import Operation
from ssf.api.query import page_limits, parameter, path_name
from ssf.api.request_body import (
    MAX_EVENT_BODY_BYTES,
    MAX_EVENT_DEPTH,
    json_object,
    parse_object,
    raw_body,
)
from ssf.api.responses import empty_response, json_response
from ssf.control.callers import Caller
from ssf.control.events import Events, OfferedEvent
from ssf.control.operations import DeliveryRecord, Operations
from ssf.control.receivers import NewReceiver, Receivers
from ssf.rules.access import Scope
from ssf.rules.deliveries import DeliveryState
from ssf.rules.errors import InvalidRequest
from ssf.rules.receivers import Receiver
from ssf.rules.streams import Stream
from ssf.rules.subject_membership import DefaultSubjects

_ADMIN = (Scope.ADMIN,)
_WRITE = (Scope.EVENTS_WRITE,)
_MAX_SECONDS = 253_402_300_799
"""The end of the year 9999."""

Name = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
    ),
]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x20\x7f-\x9f]*$")
]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ReceiverBody(_Body):
    """A receiver to be added."""

    name: Name
    audience: Word | Words
    events_supported: Words | None = None
    default_subjects: Literal["ALL", "NONE"] | None = None
    min_verification_interval: Annotated[int, Field(ge=0, le=86_400)] | None = None
    max_streams: Annotated[int, Field(ge=1, le=10_000)] | None = None
    inactivity_timeout: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    legacy_event_uris: bool = False
    subject_in_event: bool | None = None


class EventBody(_Body):
    """An event to be emitted, by type, subject and payload."""

    event_type: Word
    subject: dict[str, Any]
    payload: dict[str, Any] = {}
    txn: Word | None = None
    occurred_at: int | float | str | None = None
    audience: Word | Words | None = None


class SetShapedEventBody(_Body):
    """An event to be emitted, in the shape that it will have in the SET."""

    events: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]
    sub_id: dict[str, Any]
    txn: Word | None = None
    toe: int | float | None = None
    audience: Word | Words | None = None


class AdminApi:
    """What operators and producers may do."""

    def __init__(self, *, receivers: Receivers, events: Events, operations: Operations) -> None:
        self._receivers = receivers
        self._events = events
        self._operations = operations

    def operations(self) -> list[Operation]:
        """Everything under `/admin/v1`."""
        receivers = "/admin/v1/receivers"
        receiver = f"{receivers}/{{client_id}}"
        return [
            Operation(method="POST", path="/admin/v1/events", scopes=_WRITE, endpoint=self.emit),
            Operation(method="POST", path=receivers, scopes=_ADMIN, endpoint=self.add_receiver),
            Operation(method="GET", path=receivers, scopes=_ADMIN, endpoint=self.list_receivers),
            Operation(method="GET", path=receiver, scopes=_ADMIN, endpoint=self.show_receiver),
            Operation(method="DELETE", path=receiver, scopes=_ADMIN, endpoint=self.remove_receiver),
            Operation(
                method="GET", path="/admin/v1/streams", scopes=_ADMIN, endpoint=self.list_streams
            ),
            Operation(
                method="GET",
                path="/admin/v1/deliveries",
                scopes=_ADMIN,
                endpoint=self.list_deliveries,
            ),
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

    async def add_receiver(self, request: Request, caller: Caller) -> Response:
        """Adds a receiver: 201 with its secrets, which are shown this once."""
        body = _parsed(ReceiverBody, await json_object(request))
        added = await self._receivers.add(
            caller,
            NewReceiver(
                name=body.name,
                audience=_as_tuple(body.audience),
                events_supported=None
                if body.events_supported is None
                else tuple(body.events_supported),
                min_verification_interval_seconds=body.min_verification_interval,
                max_streams=body.max_streams,
                default_subjects=None
                if body.default_subjects is None
                else DefaultSubjects(body.default_subjects),
                inactivity_timeout_seconds=body.inactivity_timeout,
                legacy_event_uris=body.legacy_event_uris,
                subject_in_event=body.subject_in_event,
            ),
        )
        shown = await self._shown(added.receiver)
        secrets = {"client_secret": added.client_secret, "access_token": added.access_token}
        return json_response({**shown, **secrets}, status=201)

    async def list_receivers(self, request: Request, caller: Caller) -> Response:
        """A page of receivers."""
        after, limit = page_limits(request)
        found = await self._receivers.page(caller, after_id=after, limit=limit + 1)
        ids = [receiver.id for receiver in found]
        offered = await self._receivers.events_supported(found)
        shown = [_receiver(*both) for both in zip(found, offered, strict=True)]
        return _page("receivers", shown, ids, limit)

    async def show_receiver(self, request: Request, caller: Caller) -> Response:
        """One receiver, without its secrets."""
        found = await self._receivers.show(caller, path_name(request, "client_id"))
        return json_response(await self._shown(found))

    async def _shown(self, receiver: Receiver) -> dict[str, Any]:
        (offered,) = await self._receivers.events_supported([receiver])
        return _receiver(receiver, offered)

    async def remove_receiver(self, request: Request, caller: Caller) -> Response:
        """Removes a receiver with its tokens and streams: 204."""
        await self._receivers.remove(caller, path_name(request, "client_id"))
        return empty_response(204)

    async def list_streams(self, request: Request, caller: Caller) -> Response:
        """A page of streams, without their `authorization_header`."""
        after, limit = page_limits(request)
        found = await self._operations.streams(caller, after_id=after, limit=limit + 1)
        shown = [_stream(stream, client_id) for stream, client_id in found]
        return _page("streams", shown, [stream.id for stream, _ in found], limit)

    async def list_deliveries(self, request: Request, caller: Caller) -> Response:
        """A page of deliveries, oldest first; by `event_id`, `stream_id`, `state`."""
        after, limit = page_limits(request)
        found = await self._operations.deliveries(
            caller,
            event_id=parameter(request, "event_id"),
            stream_id=parameter(request, "stream_id"),
            state=_state(parameter(request, "state")),
            after_id=after,
            limit=limit + 1,
        )
        ids = [record.id for record in found]
        return _page("deliveries", [_delivery(record) for record in found], ids, limit)


_Model = TypeVar("_Model", bound=_Body)


def _parsed(model: type[_Model], body: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = str(problem["loc"][0])[:255]
        raise InvalidRequest(f"{field}: {problem['msg']}.", field=field) from None


def _offered(request: Request, raw: bytes) -> OfferedEvent:
    body = parse_object(request, raw, max_depth=MAX_EVENT_DEPTH)
    key = _idempotency_key(request)
    if "events" in body:
        shaped = _parsed(SetShapedEventBody, body)
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
            audience=None if shaped.audience is None else _as_tuple(shaped.audience),
            idempotency_key=key,
            raw_body=raw,
        )
    plain = _parsed(EventBody, body)
    return OfferedEvent(
        event_type=plain.event_type,
        type_field="event_type",
        event_field="payload",
        subject=plain.subject,
        subject_field="subject",
        payload=plain.payload,
        txn=plain.txn,
        occurred_at_seconds=_seconds(plain.occurred_at, "occurred_at"),
        audience=None if plain.audience is None else _as_tuple(plain.audience),
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


def _state(word: str | None) -> DeliveryState | None:
    if word is None:
        return None
    try:
        return DeliveryState(word)
    except ValueError:
        known = ", ".join(state.value for state in DeliveryState)
        raise InvalidRequest(f"state is one of {known}.", field="state") from None


def _as_tuple(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def _page(name: str, shown: Sequence[dict[str, Any]], ids: Sequence[int], limit: int) -> Response:
    body: dict[str, Any] = {name: list(shown[:limit])}
    if len(shown) > limit:
        body["next"] = str(ids[limit - 1])
    return json_response(body)


def _receiver(receiver: Receiver, events_supported: tuple[str, ...]) -> dict[str, Any]:
    return {
        "client_id": receiver.client_id,
        "name": receiver.name,
        "audience": list(receiver.audience),
        "events_supported": list(events_supported),
        "default_subjects": receiver.default_subjects.value,
        "min_verification_interval": receiver.min_verification_interval_seconds,
        "max_streams": receiver.max_streams,
        "inactivity_timeout": receiver.inactivity_timeout_seconds,
        "legacy_event_uris": receiver.legacy_event_uris,
        "subject_in_event": receiver.subject_in_event,
        "created_at": receiver.created_at,
    }


def _stream(stream: Stream, client_id: str) -> dict[str, Any]:
    return {
        "stream_id": stream.stream_id,
        "client_id": client_id,
        "status": stream.status.value,
        "reason": stream.reason,
        "method": stream.method.value,
        "endpoint_url": stream.endpoint_url,
        "audience": list(stream.audience),
        "events_requested": list(stream.events_requested or ()),
        "description": stream.description,
        "last_verification_at": stream.last_verification_at,
        "created_at": stream.created_at,
        "updated_at": stream.updated_at,
    }


def _delivery(record: DeliveryRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "jti": record.jti,
        "event_id": record.event_id,
        "event_type": record.event_type,
        "stream_id": record.stream_id,
        "state": record.state.value,
        "attempts": record.attempts,
        "first_due_at": record.first_due_at,
        "next_attempt_at": record.next_attempt_at
        if record.state is DeliveryState.WAITING
        else None,
        "last_outcome": record.last_outcome,
        "last_status": record.last_status,
        "last_description": record.last_description,
        "updated_at": record.updated_at,
    }

"""`/admin/v1/streams` and `/admin/v1/deliveries`: what operators see and do about delivery."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ssf.api.admin_bodies import AdminBody, page, parsed
from ssf.api.operations import Operation
from ssf.api.query import page_limits, parameter, path_name
from ssf.api.request_body import json_object
from ssf.api.responses import json_response
from ssf.control.callers import Caller
from ssf.control.operations import DeliveryRecord, ListedSubject, Operations, StreamHealth
from ssf.control.stream_transitions import StreamTransitions
from ssf.protocol.stream_configuration import parse_description
from ssf.rules.access import Scope
from ssf.rules.deliveries import DeliveryState
from ssf.rules.errors import InvalidRequest
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Stream

_ADMIN = (Scope.ADMIN,)


class StatusBody(AdminBody):
    """A status that an operator sets."""

    status: Literal["enabled", "paused", "disabled"]
    reason: str | None = None


class StreamBody(AdminBody):
    """What an operator may change of a stream."""

    verification_probe_interval: Annotated[int, Field(ge=10, le=2_592_000)] | None


class AdminStreamsApi:
    """Streams of all receivers, and deliveries."""

    def __init__(self, *, operations: Operations, transitions: StreamTransitions) -> None:
        self._operations = operations
        self._transitions = transitions

    def operations(self) -> list[Operation]:
        """Everything about streams and deliveries under `/admin/v1`."""
        streams, deliveries = "/admin/v1/streams", "/admin/v1/deliveries"
        stream = f"{streams}/{{stream_id}}"
        return [
            Operation(method="GET", path=streams, scopes=_ADMIN, endpoint=self.list_streams),
            Operation(method="GET", path=stream, scopes=_ADMIN, endpoint=self.show_stream),
            Operation(method="PATCH", path=stream, scopes=_ADMIN, endpoint=self.change_stream),
            Operation(
                method="POST", path=f"{stream}/status", scopes=_ADMIN, endpoint=self.change_status
            ),
            Operation(
                method="GET",
                path=f"{stream}/subjects",
                scopes=_ADMIN,
                endpoint=self.list_subjects,
            ),
            Operation(method="GET", path=deliveries, scopes=_ADMIN, endpoint=self.list_deliveries),
        ]

    async def list_streams(self, request: Request, caller: Caller) -> Response:
        """A page of streams, without their `authorization_header`."""
        after, limit = page_limits(request)
        found = await self._operations.streams(caller, after_id=after, limit=limit + 1)
        shown = [_stream(stream, client_id) for stream, client_id in found]
        return page("streams", shown, [stream.id for stream, _ in found], limit)

    async def show_stream(self, request: Request, caller: Caller) -> Response:
        """One stream with its health."""
        return _health(await self._operations.stream(caller, path_name(request, "stream_id")))

    async def change_stream(self, request: Request, caller: Caller) -> Response:
        """Sets how often a stream is verified unasked; null for never."""
        body = parsed(StreamBody, await json_object(request))
        stream_id = path_name(request, "stream_id")
        await self._operations.set_probe(
            caller, stream_id, interval_seconds=body.verification_probe_interval
        )
        return _health(await self._operations.stream(caller, stream_id))

    async def change_status(self, request: Request, caller: Caller) -> Response:
        """Sets the status of a stream; its receiver is told by a stream-updated event."""
        body = parsed(StatusBody, await json_object(request))
        stream_id = path_name(request, "stream_id")
        await self._transitions.change(
            caller,
            stream_id,
            status=StreamStatus(body.status),
            reason=parse_description(body.reason, field="reason"),
        )
        return _health(await self._operations.stream(caller, stream_id))

    async def list_subjects(self, request: Request, caller: Caller) -> Response:
        """A page of the subjects that the receiver added to a stream or removed from it."""
        after, limit = page_limits(request)
        found = await self._operations.subjects(
            caller, path_name(request, "stream_id"), after_id=after, limit=limit + 1
        )
        return page("subjects", [listed(one) for one in found], [one.id for one in found], limit)

    async def list_deliveries(self, request: Request, caller: Caller) -> Response:
        """A page of deliveries, oldest first; by `event_id`, `stream_id`, `jti`, `state`."""
        after, limit = page_limits(request)
        found = await self._operations.deliveries(
            caller,
            event_id=parameter(request, "event_id"),
            stream_id=parameter(request, "stream_id"),
            jti=parameter(request, "jti"),
            state=_state(parameter(request, "state")),
            after_id=after,
            limit=limit + 1,
        )
        ids = [record.id for record in found]
        return page("deliveries", [delivery(record) for record in found], ids, limit)


def _state(word: str | None) -> DeliveryState | None:
    if word is None:
        return None
    try:
        return DeliveryState(word)
    except ValueError:
        known = ", ".join(state.value for state in DeliveryState)
        raise InvalidRequest(f"state is one of {known}.", field="state") from None


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
        "default_subjects": stream.default_subjects.value,
        "description": stream.description,
        "last_verification_at": stream.last_verification_at,
        "inactive_at": stream.inactive_at,
        "verification_probe_interval": stream.probe_interval_seconds,
        "created_at": stream.created_at,
        "updated_at": stream.updated_at,
    }


def _health(found: StreamHealth) -> Response:
    last, confirmed = found.last_verification, found.last_confirmed
    round_trip_ms = None
    if confirmed is not None and confirmed.came_back_at is not None:
        round_trip_ms = (confirmed.came_back_at - confirmed.sent_at) // 1000
    return json_response(
        {
            **_stream(found.stream, found.client_id),
            "health": {
                "waiting": found.backlog.waiting,
                "oldest_waiting_at": found.backlog.oldest_waiting_at,
                "dropped": found.backlog.dropped,
                "subjects": found.subjects,
                "verification": {
                    "sent_at": None if last is None else last.sent_at,
                    "state": None if last is None else last.state.value,
                    "came_back_at": None if confirmed is None else confirmed.came_back_at,
                    "round_trip_ms": round_trip_ms,
                },
            },
        }
    )


def listed(one: ListedSubject) -> dict[str, Any]:
    """A subject of a stream's list."""
    return {
        "subject": json.loads(one.identifier),
        "added": one.is_added,
        "verified": one.is_verified,
        "removal_at": one.removal_at,
        "changed_at": one.changed_at,
    }


def delivery(record: DeliveryRecord) -> dict[str, Any]:
    """A delivery."""
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

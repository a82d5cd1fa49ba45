"""`/admin/v1/event-types`: the catalogue of event types, and those that operators register.

A type is named in the query (`?type=`), by its URI or its short name: URIs hold slashes, and
proxies are not to be trusted with those in a path.
"""

from typing import Annotated, Any

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from ssf.api.admin_bodies import AdminBody, page, parsed
from ssf.api.operations import Operation
from ssf.api.query import page_limits
from ssf.api.request_body import MAX_DEPTH, parse_object, raw_body
from ssf.api.responses import empty_response, json_response
from ssf.control.callers import Caller
from ssf.control.event_types import EventTypes, ShownEventType
from ssf.protocol.errors import ProtocolError
from ssf.protocol.json_values import require_text
from ssf.protocol.stream_configuration import MAX_EVENT_URI_CHARS
from ssf.rules.access import Scope
from ssf.rules.errors import InvalidRequest

_ADMIN = (Scope.ADMIN,)
_PATH = "/admin/v1/event-types"

Word = Annotated[
    str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[^\x00-\x20\x7f-\x9f]*$")
]


class EventTypeBody(AdminBody):
    """An event type to be registered."""

    uri: Word
    name: Word | None = None
    payload_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class EventTypesApi:
    """What operators may do with event types."""

    def __init__(self, event_types: EventTypes) -> None:
        self._event_types = event_types

    def operations(self) -> list[Operation]:
        """Everything under `/admin/v1/event-types`."""
        return [
            Operation(method="GET", path=_PATH, scopes=_ADMIN, endpoint=self.get_event_types),
            Operation(method="POST", path=_PATH, scopes=_ADMIN, endpoint=self.add_event_type),
            Operation(method="DELETE", path=_PATH, scopes=_ADMIN, endpoint=self.remove_event_type),
        ]

    async def get_event_types(self, request: Request, caller: Caller) -> Response:
        """One event type, with `?type=`, or a page of them."""
        if "type" in request.query_params:
            return json_response(_event_type(await self._event_types.show(caller, _named(request))))
        after, limit = page_limits(request)
        found = await self._event_types.page(caller, after=after, limit=limit + 1)
        positions = [one.position for one in found]
        return page("event_types", [_event_type(one) for one in found], positions, limit)

    async def add_event_type(self, request: Request, caller: Caller) -> Response:
        """Registers an event type: 201."""
        raw = await raw_body(request)
        # A level more than elsewhere: a schema may have all of them for itself.
        body = parsed(EventTypeBody, parse_object(request, raw, max_depth=MAX_DEPTH + 1))
        added = await self._event_types.add(
            caller, uri=body.uri, name=body.name, schema=body.payload_schema
        )
        return json_response(_event_type(added), status=201)

    async def remove_event_type(self, request: Request, caller: Caller) -> Response:
        """Removes an event type that was registered: 204."""
        await self._event_types.remove(caller, _named(request))
        return empty_response(204)


def _named(request: Request) -> str:
    values = request.query_params.getlist("type")
    if len(values) != 1:
        raise InvalidRequest("Say which with one ?type=…, a URI or a short name.", field="type")
    return require_text(values[0], "type", ProtocolError, max_chars=MAX_EVENT_URI_CHARS)


def _event_type(shown: ShownEventType) -> dict[str, Any]:
    body: dict[str, Any] = {
        "uri": shown.uri,
        "name": shown.name,
        "family": shown.family,
        "deprecated": shown.deprecated,
        "emitted_by_producers": shown.emitted_by_producers,
        "members": [
            {"name": member.name, "required": member.required, "type": member.kind}
            for member in shown.members
        ],
        "subject_formats": list(shown.subject_formats) or None,
        "example": shown.example,
        "example_subject": shown.example_subject,
    }
    if shown.schema is not None:
        body["schema"] = shown.schema
    return body

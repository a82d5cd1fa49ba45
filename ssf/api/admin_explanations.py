"""`/admin/v1/events/{event_id}`: why an event was or was not delivered."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ssf.api.admin_streams import delivery, listed
from ssf.api.operations import Operation
from ssf.api.query import page_limits, parameter, path_name
from ssf.api.responses import json_response
from ssf.control.callers import Caller
from ssf.control.explanations import ExplainedStream, Explanations, StoredEvent
from ssf.rules.access import Scope


class AdminExplanationsApi:
    """Explanations for operators."""

    def __init__(self, explanations: Explanations) -> None:
        self._explanations = explanations

    def operations(self) -> list[Operation]:
        """The one operation."""
        return [
            Operation(
                method="GET",
                path="/admin/v1/events/{event_id}",
                scopes=(Scope.ADMIN,),
                endpoint=self.explain,
            )
        ]

    async def explain(self, request: Request, caller: Caller) -> Response:
        """An event, and what became of it on each stream, or on the one of `stream_id`."""
        after, limit = page_limits(request)
        event, found = await self._explanations.event(
            caller,
            path_name(request, "event_id"),
            stream_id=parameter(request, "stream_id"),
            after_id=after,
            limit=limit + 1,
        )
        body = {**_event(event), "streams": [_explained(one) for one in found[:limit]]}
        if len(found) > limit:
            body["next"] = str(found[limit - 1].id)
        return json_response(body)


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "subject": json.loads(event.subject),
        "payload": json.loads(event.payload),
        "txn": event.txn,
        "toe": None if event.toe is None else json.loads(event.toe),
        "audience": None if event.audience is None else json.loads(event.audience),
        "created_at": event.created_at,
    }


def _explained(one: ExplainedStream) -> dict[str, Any]:
    return {
        "stream_id": one.stream_id,
        "client_id": one.client_id,
        "verdict": one.explanation.verdict,
        "why": one.explanation.why.value,
        "description": one.explanation.description,
        "matched_subject": None if one.matched_subject is None else listed(one.matched_subject),
        "delivery": None if one.delivery is None else delivery(one.delivery),
    }

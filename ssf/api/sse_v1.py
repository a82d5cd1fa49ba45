"""The older profile, `/sse/v1`: one stream per receiver, POST replaces (SSE 1.0, draft of 2021).

A facade over the same streams as SSF 1.0, in other words: no `stream_id`, other method URIs.
"""

from collections.abc import Container

from starlette.requests import Request
from starlette.responses import Response

from ssf.api.operations import Operation
from ssf.api.poll_body import poll_answer, poll_request
from ssf.api.polling_client import watched_client
from ssf.api.request_body import json_object, json_object_or_nothing
from ssf.api.responses import empty_response, json_response
from ssf.api.status_body import asked_status
from ssf.api.subject_body import is_verified, named_subject
from ssf.api.verification_body import requested_state
from ssf.control.callers import Caller
from ssf.control.polling import Polling
from ssf.control.stream_status import StreamStatuses, StreamStatusView
from ssf.control.streams import Streams
from ssf.control.subjects import Subjects
from ssf.control.verification import Verifications
from ssf.protocol.stream_configuration import parse_description
from ssf.rules import sse_stream_changes
from ssf.rules.access import Scope
from ssf.rules.errors import InvalidRequest
from ssf.rules.sse_stream_changes import MissingRequired

_READ = (Scope.SSF_READ, Scope.SSF_MANAGE)
_MANAGE = (Scope.SSF_MANAGE,)
_POLL = (Scope.SSF_MANAGE_POLL, Scope.SSF_MANAGE, Scope.SSF_READ)


class SseApi:
    """The older profile's stream, status, verification and poll endpoints."""

    def __init__(
        self,
        *,
        streams: Streams,
        subjects: Subjects,
        statuses: StreamStatuses,
        verifications: Verifications,
        polling: Polling,
        missing_required: MissingRequired,
    ) -> None:
        self._streams = streams
        self._subjects = subjects
        self._statuses = statuses
        self._verifications = verifications
        self._polling = polling
        self._missing_required = missing_required

    def operations(self) -> list[Operation]:
        """Everything under `/sse/v1`."""
        stream, status = "/sse/v1/stream", "/sse/v1/status"
        return [
            Operation(method="GET", path=stream, scopes=_READ, endpoint=self.read),
            Operation(method="POST", path=stream, scopes=_MANAGE, endpoint=self.replace),
            Operation(method="DELETE", path=stream, scopes=_MANAGE, endpoint=self.delete),
            Operation(
                method="POST",
                path="/sse/v1/subjects:add",
                scopes=_MANAGE,
                endpoint=self.add_subject,
            ),
            Operation(
                method="POST",
                path="/sse/v1/subjects:remove",
                scopes=_MANAGE,
                endpoint=self.remove_subject,
            ),
            Operation(method="GET", path=status, scopes=_READ, endpoint=self.read_status),
            Operation(method="POST", path=status, scopes=_MANAGE, endpoint=self.change_status),
            Operation(method="POST", path="/sse/v1/verify", scopes=_MANAGE, endpoint=self.verify),
            Operation(method="POST", path="/sse/v1/poll", scopes=_POLL, endpoint=self.poll),
        ]

    async def read(self, _request: Request, caller: Caller) -> Response:
        """The configuration of the stream."""
        return json_response((await self._streams.read_facade(caller)).to_sse_v1())

    async def replace(self, request: Request, caller: Caller) -> Response:
        """Replaces the configuration: 200 with the whole of it."""
        body = await json_object(request)
        changed = await self._streams.replace_facade(
            caller,
            lambda current: sse_stream_changes.replace(body, current, self._missing_required),
        )
        return json_response(changed.to_sse_v1())

    async def delete(self, _request: Request, caller: Caller) -> Response:
        """Deletes the stream with what waits for it: 200 without a body."""
        await self._streams.delete_facade(caller)
        return empty_response(200)

    async def add_subject(self, request: Request, caller: Caller) -> Response:
        """Adds a subject to the stream: 200 without a body."""
        body = await json_object(request)
        await self._subjects.add_on_facade(
            caller, named_subject(body), is_verified=is_verified(body)
        )
        return empty_response(200)

    async def remove_subject(self, request: Request, caller: Caller) -> Response:
        """Removes a subject from the stream: 204."""
        body = await json_object(request)
        await self._subjects.remove_on_facade(caller, named_subject(body))
        return empty_response(204)

    async def read_status(self, request: Request, caller: Caller) -> Response:
        """The status of the stream."""
        _refuse_subject(request.query_params)
        return _status(await self._statuses.read_facade(caller))

    async def change_status(self, request: Request, caller: Caller) -> Response:
        """Sets the status of the stream."""
        _refuse_subject(request.query_params)
        body = await json_object(request)
        _refuse_subject(body)
        changed = await self._statuses.change_facade(
            caller,
            status=asked_status(body),
            reason=parse_description(body.get("reason"), field="reason"),
        )
        return _status(changed)

    async def verify(self, request: Request, caller: Caller) -> Response:
        """Asks for a verification event: 204. The body may be missing."""
        body = await json_object_or_nothing(request)
        await self._verifications.request_on_facade(caller, state=requested_state(body))
        return empty_response(204)

    async def poll(self, request: Request, caller: Caller) -> Response:
        """Fetches and acknowledges SETs (RFC 8936); `acks` is an old name of `ack`."""
        asked = await poll_request(request, ack_name="acks")
        async with watched_client(request) as client:
            answer = await self._polling.poll_facade(caller, asked, client)
        return poll_answer(answer)


def _refuse_subject(members: Container[str]) -> None:
    """The draft's status of one subject: refused, lest the whole stream were changed instead."""
    if "subject" in members:
        raise InvalidRequest(
            "A status per subject is not offered; leave subject out to mean the whole stream, or "
            "add and remove subjects.",
            field="subject",
        )


def _status(view: StreamStatusView) -> Response:
    return json_response({"status": view.status.value})

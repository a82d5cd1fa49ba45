"""SSF 1.0 final: streams, status, verification, poll (§8.1; RFC 8936)."""

from starlette.requests import Request
from starlette.responses import Response

from ssf.api.operations import Operation
from ssf.api.poll_body import poll_answer, poll_request
from ssf.api.polling_client import watched_client
from ssf.api.query import parameter, path_name, required_parameter
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
from ssf.protocol.stream_configuration import StreamConfiguration, parse_description
from ssf.rules import ssf_stream_changes
from ssf.rules.access import Scope
from ssf.rules.ssf_stream_changes import named_stream_id

_READ = (Scope.SSF_READ, Scope.SSF_MANAGE)
_MANAGE = (Scope.SSF_MANAGE,)
_POLL = (Scope.SSF_MANAGE_POLL, Scope.SSF_MANAGE, Scope.SSF_READ)


class SsfApi:
    """The management API of SSF 1.0, and the poll endpoints."""

    def __init__(
        self,
        *,
        streams: Streams,
        statuses: StreamStatuses,
        subjects: Subjects,
        verifications: Verifications,
        polling: Polling,
    ) -> None:
        self._streams = streams
        self._statuses = statuses
        self._subjects = subjects
        self._verifications = verifications
        self._polling = polling

    def operations(self) -> list[Operation]:
        """Everything under `/ssf/v1`."""
        streams, status = "/ssf/v1/streams", "/ssf/v1/status"
        return [
            Operation(method="POST", path=streams, scopes=_MANAGE, endpoint=self.create),
            Operation(method="GET", path=streams, scopes=_READ, endpoint=self.read),
            Operation(method="PATCH", path=streams, scopes=_MANAGE, endpoint=self.update),
            Operation(method="PUT", path=streams, scopes=_MANAGE, endpoint=self.replace),
            Operation(method="DELETE", path=streams, scopes=_MANAGE, endpoint=self.delete),
            Operation(method="GET", path=status, scopes=_READ, endpoint=self.read_status),
            Operation(method="POST", path=status, scopes=_MANAGE, endpoint=self.change_status),
            Operation(
                method="POST",
                path="/ssf/v1/subjects:add",
                scopes=_MANAGE,
                endpoint=self.add_subject,
            ),
            Operation(
                method="POST",
                path="/ssf/v1/subjects:remove",
                scopes=_MANAGE,
                endpoint=self.remove_subject,
            ),
            Operation(method="POST", path="/ssf/v1/verify", scopes=_MANAGE, endpoint=self.verify),
            Operation(
                method="POST", path="/ssf/v1/poll/{stream_id}", scopes=_POLL, endpoint=self.poll
            ),
        ]

    async def create(self, request: Request, caller: Caller) -> Response:
        """Creates a stream: 201 with its configuration (§8.1.1.1)."""
        body = await json_object_or_nothing(request)
        created = await self._streams.create(caller, ssf_stream_changes.create(body))
        return _shown(created, status=201)

    async def read(self, request: Request, caller: Caller) -> Response:
        """One stream as an object, or without `stream_id` all of them as an array (§8.1.1.2)."""
        stream_id = parameter(request, "stream_id")
        if stream_id is not None:
            return _shown(await self._streams.read(caller, stream_id))
        found = await self._streams.list_all(caller)
        return json_response([configuration.to_ssf_1_0() for configuration in found])

    async def update(self, request: Request, caller: Caller) -> Response:
        """Sets the properties that are present (§8.1.1.3)."""
        body = await json_object(request)
        changed = await self._streams.change(
            caller,
            named_stream_id(body),
            lambda current: ssf_stream_changes.update(body, current),
        )
        return _shown(changed)

    async def replace(self, request: Request, caller: Caller) -> Response:
        """Sets the properties that are present and deletes the others (§8.1.1.4)."""
        body = await json_object(request)
        changed = await self._streams.change(
            caller,
            named_stream_id(body),
            lambda current: ssf_stream_changes.replace(body, current),
        )
        return _shown(changed)

    async def delete(self, request: Request, caller: Caller) -> Response:
        """Deletes a stream: 204 (§8.1.1.5)."""
        await self._streams.delete(caller, required_parameter(request, "stream_id"))
        return empty_response(204)

    async def read_status(self, request: Request, caller: Caller) -> Response:
        """The status of a stream (§8.1.2.2)."""
        return _status(await self._statuses.read(caller, required_parameter(request, "stream_id")))

    async def change_status(self, request: Request, caller: Caller) -> Response:
        """Sets the status of a stream (§8.1.2.3)."""
        body = await json_object(request)
        changed = await self._statuses.change(
            caller,
            named_stream_id(body),
            status=asked_status(body),
            reason=parse_description(body.get("reason"), field="reason"),
        )
        return _status(changed)

    async def add_subject(self, request: Request, caller: Caller) -> Response:
        """Adds a subject to a stream: 200 without a body (§8.1.3.2)."""
        body = await json_object(request)
        await self._subjects.add(
            caller, named_stream_id(body), named_subject(body), is_verified=is_verified(body)
        )
        return empty_response(200)

    async def remove_subject(self, request: Request, caller: Caller) -> Response:
        """Removes a subject from a stream: 204 (§8.1.3.3)."""
        body = await json_object(request)
        await self._subjects.remove(caller, named_stream_id(body), named_subject(body))
        return empty_response(204)

    async def verify(self, request: Request, caller: Caller) -> Response:
        """Asks for a verification event: 204 (§8.1.4.2)."""
        body = await json_object(request)
        await self._verifications.request(
            caller, named_stream_id(body), state=requested_state(body)
        )
        return empty_response(204)

    async def poll(self, request: Request, caller: Caller) -> Response:
        """Fetches and acknowledges SETs (RFC 8936)."""
        asked = await poll_request(request)
        async with watched_client(request) as client:
            answer = await self._polling.poll(
                caller, path_name(request, "stream_id"), asked, client
            )
        return poll_answer(answer)


def _shown(configuration: StreamConfiguration, *, status: int = 200) -> Response:
    return json_response(configuration.to_ssf_1_0(), status=status)


def _status(view: StreamStatusView) -> Response:
    body = {"stream_id": view.stream_id, "status": view.status.value}
    return json_response(body if view.reason is None else {**body, "reason": view.reason})

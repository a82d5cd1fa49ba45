"""`/admin/v1/receivers`: operators add receivers, and change what is agreed with them."""

from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ssf.api.admin_bodies import AdminBody, Name, Word, Words, as_tuple, page, parsed
from ssf.api.operations import Operation
from ssf.api.query import page_limits, path_name
from ssf.api.request_body import json_object
from ssf.api.responses import empty_response, json_response
from ssf.control.callers import Caller
from ssf.control.receivers import NewReceiver, ReceiverChanges, Receivers
from ssf.rules.access import Scope
from ssf.rules.receivers import Receiver
from ssf.rules.subject_membership import DefaultSubjects

_ADMIN = (Scope.ADMIN,)


class ReceiverBody(AdminBody):
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


class ReceiverChangesBody(AdminBody):
    """Terms of a receiver that are to change; null goes back to the default where there is one."""

    name: Name = ""
    audience: Word | Words = ""
    events_supported: Words | None = None
    default_subjects: Literal["ALL", "NONE"] | None = None
    min_verification_interval: Annotated[int, Field(ge=0, le=86_400)] | None = None
    max_streams: Annotated[int, Field(ge=1, le=10_000)] | None = None
    inactivity_timeout: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    legacy_event_uris: bool | None = None
    subject_in_event: bool | None = None


class AdminReceiversApi:
    """What operators may do with receivers."""

    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers

    def operations(self) -> list[Operation]:
        """Everything under `/admin/v1/receivers`."""
        receivers = "/admin/v1/receivers"
        receiver = f"{receivers}/{{client_id}}"
        return [
            Operation(method="POST", path=receivers, scopes=_ADMIN, endpoint=self.add_receiver),
            Operation(method="GET", path=receivers, scopes=_ADMIN, endpoint=self.list_receivers),
            Operation(method="GET", path=receiver, scopes=_ADMIN, endpoint=self.show_receiver),
            Operation(method="PATCH", path=receiver, scopes=_ADMIN, endpoint=self.change_receiver),
            Operation(method="DELETE", path=receiver, scopes=_ADMIN, endpoint=self.remove_receiver),
        ]

    async def add_receiver(self, request: Request, caller: Caller) -> Response:
        """Adds a receiver: 201 with its secrets, which are shown this once."""
        body = parsed(ReceiverBody, await json_object(request))
        added = await self._receivers.add(
            caller,
            NewReceiver(
                name=body.name,
                audience=as_tuple(body.audience),
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
        return page("receivers", shown, ids, limit)

    async def show_receiver(self, request: Request, caller: Caller) -> Response:
        """One receiver, without its secrets."""
        found = await self._receivers.show(caller, path_name(request, "client_id"))
        return json_response(await self._shown(found))

    async def _shown(self, receiver: Receiver) -> dict[str, Any]:
        (offered,) = await self._receivers.events_supported([receiver])
        return _receiver(receiver, offered)

    async def change_receiver(self, request: Request, caller: Caller) -> Response:
        """Changes the terms that are in the body: 200 with all of them."""
        body = parsed(ReceiverChangesBody, await json_object(request))
        changed = await self._receivers.change(
            caller, path_name(request, "client_id"), _changes(body)
        )
        return json_response(await self._shown(changed))

    async def remove_receiver(self, request: Request, caller: Caller) -> Response:
        """Removes a receiver with its tokens and streams: 204."""
        await self._receivers.remove(caller, path_name(request, "client_id"))
        return empty_response(204)


def _changes(body: ReceiverChangesBody) -> ReceiverChanges:
    changes: ReceiverChanges = {}
    said = body.model_fields_set
    if "name" in said:
        changes["name"] = body.name
    if "audience" in said:
        changes["audience"] = as_tuple(body.audience)
    if "events_supported" in said:
        offered = body.events_supported
        changes["events_supported"] = None if offered is None else tuple(offered)
    if "default_subjects" in said:
        word = body.default_subjects
        changes["default_subjects"] = None if word is None else DefaultSubjects(word)
    if "min_verification_interval" in said:
        changes["min_verification_interval_seconds"] = body.min_verification_interval
    if "max_streams" in said:
        changes["max_streams"] = body.max_streams
    if "inactivity_timeout" in said:
        changes["inactivity_timeout_seconds"] = body.inactivity_timeout
    if "legacy_event_uris" in said:
        changes["legacy_event_uris"] = body.legacy_event_uris or False
    if "subject_in_event" in said:
        changes["subject_in_event"] = body.subject_in_event
    return changes


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

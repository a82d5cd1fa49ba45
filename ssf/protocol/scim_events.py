"""Events of SCIM resources (RFC 9967): created, changed, removed, in a feed, done at last.

The subject is the resource, in `sub_id` and in the format `scim`, and never inside the event. A
change is told *in full*, with `data`, or as a *notice*, with the names of `attributes`; never
both. Passwords are taken out of `data` on emit: a SET is no place for them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ssf.protocol.errors import MalformedEvent
from ssf.protocol.event_payloads import (
    EventPayload,
    EventType,
    Member,
    Rule,
    any_object,
    reads,
    text,
    text_array,
)
from ssf.protocol.scim_passwords import without_passwords

_BASE: Final = "urn:ietf:params:scim:event:"

FEED_ADD: Final = f"{_BASE}feed:add"
FEED_REMOVE: Final = f"{_BASE}feed:remove"
PROV_CREATE_FULL: Final = f"{_BASE}prov:create:full"
PROV_CREATE_NOTICE: Final = f"{_BASE}prov:create:notice"
PROV_PATCH_FULL: Final = f"{_BASE}prov:patch:full"
PROV_PATCH_NOTICE: Final = f"{_BASE}prov:patch:notice"
PROV_PUT_FULL: Final = f"{_BASE}prov:put:full"
PROV_PUT_NOTICE: Final = f"{_BASE}prov:put:notice"
PROV_DELETE: Final = f"{_BASE}prov:delete"
PROV_ACTIVATE: Final = f"{_BASE}prov:activate"
PROV_DEACTIVATE: Final = f"{_BASE}prov:deactivate"
MISC_ASYNCRESP: Final = f"{_BASE}misc:asyncresp"

_HTTP_STATUS: Final = re.compile("[1-5][0-9]{2}")
_HTTP_ERROR: Final = re.compile("[45][0-9]{2}")


@reads("object")
def _data(value: object, field: str, strict: bool) -> dict[str, Any]:
    """Read a resource or a PatchOp message; strictly, leave its passwords out."""
    members = any_object(value, field, strict)
    return without_passwords(members) if strict else members


@reads("HTTP status in a string")
def _status(value: object, field: str, strict: bool) -> str:
    """Read an HTTP status, which RFC 9967 has in a string."""
    word = text(value, field, strict)
    if strict and not _HTTP_STATUS.fullmatch(word):
        raise MalformedEvent('must be an HTTP status in a string, such as "200"', field=field)
    return word


def _subject_outside(members: Mapping[str, Any], field: str, strict: bool) -> None:
    for name in ("sub_id", "subject"):
        if strict and name in members:
            raise MalformedEvent(
                "does not belong into a SCIM event: the subject goes beside it",
                field=f"{field}.{name}",
            )


def _never(name: str, instead: str) -> Rule:
    def rule(members: Mapping[str, Any], field: str, strict: bool) -> None:
        if strict and name in members:
            raise MalformedEvent(
                f"must not be there: this event says it with {instead}", field=f"{field}.{name}"
            )

    return rule


def _patch_operations(members: Mapping[str, Any], field: str, strict: bool) -> None:
    """A PatchOp message without operations patches nothing (RFC 7644 §3.5.2)."""
    named = {name.lower(): value for name, value in members["data"].items()} if strict else {}
    if strict and not isinstance(named.get("operations"), list):
        raise MalformedEvent(
            "must be an array: the data is a PatchOp message", field=f"{field}.data.Operations"
        )


def _response_of_error(members: Mapping[str, Any], field: str, _strict: bool) -> None:
    if members.get("response") is None and _HTTP_ERROR.fullmatch(members["status"]):
        raise MalformedEvent(
            "is required when the status is an error: the SCIM Error object",
            field=f"{field}.response",
        )


_VERSION: Final = Member(name="version", read=text)
_FULL: Final = (Member(name="data", read=_data, required=True), _VERSION)
_NOTICE: Final = (Member(name="attributes", read=text_array, required=True), _VERSION)
_FULL_RULES: Final = (_subject_outside, _never("attributes", "data"))
_NOTICE_RULES: Final = (_subject_outside, _never("data", "attributes"))


def _type(uri: str) -> EventType:
    return EventType(uri=uri, name=uri.removeprefix(_BASE), family="scim")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimEvent(EventPayload):
    """An event about a SCIM resource, which is the subject (RFC 9967 §2)."""

    rules: ClassVar[tuple[Rule, ...]] = (_subject_outside,)
    subject_formats: ClassVar[tuple[str, ...]] = ("scim",)
    example_subject: ClassVar[Mapping[str, Any]] = {
        "format": "scim",
        "uri": "/Users/2b2f880af6674ac284bae9381673d462",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class FullChange(ScimEvent):
    """A change, told in full.

    Attributes:
        data: The resource as it is now (create, put), or the PatchOp message (patch).
        version: ETag of the resource after the change.
    """

    table: ClassVar[tuple[Member, ...]] = _FULL
    rules: ClassVar[tuple[Rule, ...]] = _FULL_RULES

    data: Mapping[str, Any]
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNotice(ScimEvent):
    """A change, told by the names of what changed.

    Attributes:
        attributes: Attribute paths; may be empty.
        version: ETag of the resource after the change.
    """

    table: ClassVar[tuple[Member, ...]] = _NOTICE
    rules: ClassVar[tuple[Rule, ...]] = _NOTICE_RULES

    attributes: tuple[str, ...]
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAdd(ScimEvent):
    """The resource is in the feed from now on; it was not created by that."""

    event_type: ClassVar[EventType] = _type(FEED_ADD)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRemove(ScimEvent):
    """The resource is in the feed no more; it was not deleted by that."""

    event_type: ClassVar[EventType] = _type(FEED_REMOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedInFull(FullChange):
    """The resource was created; `data` is its final representation."""

    event_type: ClassVar[EventType] = _type(PROV_CREATE_FULL)
    example: ClassVar[Mapping[str, Any]] = {
        "data": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "jdoe"}
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNotice(ChangeNotice):
    """The resource was created with these attributes."""

    event_type: ClassVar[EventType] = _type(PROV_CREATE_NOTICE)
    example: ClassVar[Mapping[str, Any]] = {"attributes": ["userName", "emails"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedInFull(FullChange):
    """The resource was patched; `data` is the PatchOp message."""

    event_type: ClassVar[EventType] = _type(PROV_PATCH_FULL)
    rules: ClassVar[tuple[Rule, ...]] = (*_FULL_RULES, _patch_operations)
    example: ClassVar[Mapping[str, Any]] = {
        "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "add", "path": "members", "value": []}],
        }
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchNotice(ChangeNotice):
    """These attributes of the resource were patched."""

    event_type: ClassVar[EventType] = _type(PROV_PATCH_NOTICE)
    example: ClassVar[Mapping[str, Any]] = {"attributes": ["members"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PutInFull(FullChange):
    """The resource was replaced; `data` is what it was replaced by."""

    event_type: ClassVar[EventType] = _type(PROV_PUT_FULL)
    example: ClassVar[Mapping[str, Any]] = {"data": {"userName": "jdoe"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class PutNotice(ChangeNotice):
    """The resource was replaced, and these attributes changed by that."""

    event_type: ClassVar[EventType] = _type(PROV_PUT_NOTICE)
    example: ClassVar[Mapping[str, Any]] = {"attributes": ["userName"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted(ScimEvent):
    """The resource was deleted, which takes it out of the feed as well."""

    event_type: ClassVar[EventType] = _type(PROV_DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated(ScimEvent):
    """The resource is active from now on.

    Attributes:
        version: ETag of the resource after the change.
    """

    event_type: ClassVar[EventType] = _type(PROV_ACTIVATE)
    table: ClassVar[tuple[Member, ...]] = (_VERSION,)

    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deactivated(ScimEvent):
    """The resource is active no more.

    Attributes:
        version: ETag of the resource after the change.
    """

    event_type: ClassVar[EventType] = _type(PROV_DEACTIVATE)
    table: ClassVar[tuple[Member, ...]] = (_VERSION,)

    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncResponse(ScimEvent):
    """A request that was answered 202 is done. The SET's `txn` is the `Set-Txn` of that answer.

    Attributes:
        method: HTTP method of the request.
        status: HTTP status that it ended with, in a string.
        version: ETag of the resource.
        bulk_id: `bulkId` of the operation, when it was one of a bulk request.
        location: URL of the resource.
        response: The body; the SCIM Error object when the status is an error.
    """

    event_type: ClassVar[EventType] = _type(MISC_ASYNCRESP)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="method", read=text, required=True),
        Member(name="status", read=_status, required=True),
        _VERSION,
        Member(name="bulkId", read=text),
        Member(name="location", read=text),
        Member(name="response", read=_data),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_subject_outside, _response_of_error)
    example: ClassVar[Mapping[str, Any]] = {"method": "PUT", "status": "200"}

    method: str
    status: str
    version: str | None = None
    bulk_id: str | None = None
    location: str | None = None
    response: Mapping[str, Any] | None = None


EVENTS: Final[tuple[type[EventPayload], ...]] = (
    FeedAdd,
    FeedRemove,
    CreatedInFull,
    CreateNotice,
    PatchedInFull,
    PatchNotice,
    PutInFull,
    PutNotice,
    Deleted,
    Activated,
    Deactivated,
    AsyncResponse,
)

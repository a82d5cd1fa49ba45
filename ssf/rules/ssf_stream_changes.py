"""What a body sent to `/ssf/v1/streams` makes of a stream (SSF 1.0 §8.1.1.1 to §8.1.1.4).

Pure: body and current configuration in, the complete new editable properties out, or a refusal.
"""

from collections.abc import Mapping
from typing import Any

from ssf.protocol.errors import MalformedStreamConfiguration
from ssf.protocol.stream_configuration import (
    SSF_1_0_READ_ONLY,
    DeliveryMethod,
    RequestedDelivery,
    StreamConfiguration,
    parse_delivery,
    parse_description,
    parse_events_requested,
    parse_stream_id,
)
from ssf.rules.streams import EditableProperties, require_unchanged

DEFAULT_DELIVERY = RequestedDelivery(
    method=DeliveryMethod.POLL, endpoint_url=None, authorization_header=None
)
"""No `delivery` means poll (SSF 1.0 §8.1.1.1)."""


def named_stream_id(body: Mapping[str, Any]) -> str:
    """The `stream_id` that PATCH and PUT must carry.

    Raises:
        MalformedStreamConfiguration: It is missing or not a string.
    """
    if "stream_id" not in body:
        raise MalformedStreamConfiguration("is required", field="stream_id")
    return parse_stream_id(body["stream_id"])


def create(body: Mapping[str, Any]) -> EditableProperties:
    """A new stream. Transmitter-supplied and unknown members are ignored.

    A poll `endpoint_url` is transmitter-supplied, so it is ignored here like the others.
    """
    asked = _replaced(body)
    if asked.delivery.method is DeliveryMethod.POLL:
        return EditableProperties(
            events_requested=asked.events_requested,
            delivery=DEFAULT_DELIVERY,
            description=asked.description,
        )
    return asked


def update(body: Mapping[str, Any], current: StreamConfiguration) -> EditableProperties:
    """PATCH: properties that are present are set, absent ones stay; `delivery` changes whole.

    Raises:
        ReadOnlyMismatch: A transmitter-supplied property has another value.
        MalformedStreamConfiguration: A property is not what it should be.
    """
    require_unchanged(body, current.to_ssf_1_0(), SSF_1_0_READ_ONLY)
    return EditableProperties(
        events_requested=parse_events_requested(body["events_requested"])
        if "events_requested" in body
        else current.events_requested,
        delivery=parse_delivery(body["delivery"])
        if "delivery" in body
        else RequestedDelivery(
            method=current.delivery.method,
            endpoint_url=current.delivery.endpoint_url,
            authorization_header=current.delivery.authorization_header,
        ),
        description=_description(body) if "description" in body else current.description,
        format=current.format,
    )


def replace(body: Mapping[str, Any], current: StreamConfiguration) -> EditableProperties:
    """PUT: receiver-supplied properties that are absent are deleted.

    SSF also says that the full set must be sent; we follow "missing means deleted" and refuse
    nothing for being incomplete. Without `delivery` the stream polls, as a new one would.

    Raises:
        ReadOnlyMismatch: A transmitter-supplied property has another value.
        MalformedStreamConfiguration: A property is not what it should be.
    """
    require_unchanged(body, current.to_ssf_1_0(), SSF_1_0_READ_ONLY)
    return _replaced(body, format=current.format)


def _replaced(body: Mapping[str, Any], *, format: str | None = None) -> EditableProperties:  # noqa: A002 - the property's name
    return EditableProperties(
        events_requested=parse_events_requested(body["events_requested"])
        if "events_requested" in body
        else None,
        delivery=parse_delivery(body["delivery"]) if "delivery" in body else DEFAULT_DELIVERY,
        description=_description(body) if "description" in body else None,
        format=format,
    )


def _description(body: Mapping[str, Any]) -> str | None:
    """Null is no string; a receiver that wants no description leaves it out of a PUT."""
    if body["description"] is None:
        raise MalformedStreamConfiguration("must be a string, not null", field="description")
    return parse_description(body["description"])

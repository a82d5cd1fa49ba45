"""What a body sent to `POST /sse/v1/stream` makes of the stream: read, modify, replace.

| property | missing | null | present and valid | present and bad |
|---|---|---|---|---|
| `iss`, `aud`, `events_supported`, `events_delivered`, `min_verification_interval`, `stream_id` | no effect | refused | must equal what the stream shows | refused |
| `events_requested` | refused, or `[]` | refused | replaces | refused |
| `delivery` | refused, or poll | refused | replaces the whole object | refused |
| `format` | deleted | deleted | replaces | refused |
| anything else | - | ignored | ignored | - |

What a missing required property means is the published contradiction of the draft: its parameter
table marks both as required, its prose says that missing means deleted. `MissingRequired` chooses.

Pure: body and current configuration in, the complete new editable properties out, or a refusal.

Source: SSE 1.0 implementer's draft 1 §7.1.1.3.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ssf.protocol.errors import MalformedStreamConfiguration
from ssf.protocol.stream_configuration import (
    SSE_V1_READ_ONLY,
    RequestedDelivery,
    StreamConfiguration,
    parse_delivery,
    parse_events_requested,
    parse_format,
)
from ssf.rules.ssf_stream_changes import DEFAULT_DELIVERY
from ssf.rules.streams import EditableProperties, require_unchanged


class MissingRequired(StrEnum):
    """What a missing `events_requested` or `delivery` means.

    REJECT: the body is refused; nothing usable would be left of the stream.
    DELETE: the property is deleted, to the letter of the draft's prose.
    """

    REJECT = "reject"
    DELETE = "delete"


def replace(
    body: Mapping[str, Any], current: StreamConfiguration, missing_required: MissingRequired
) -> EditableProperties:
    """The editable properties after the body was taken in.

    Args:
        body: The JSON object.
        current: The configuration as `GET /sse/v1/stream` shows it now.
        missing_required: What a missing required property means.

    Raises:
        ReadOnlyMismatch: A transmitter-supplied property has another value.
        MalformedStreamConfiguration: A property is missing or not what it should be.
    """
    _require_types(body)
    shown = current.to_sse_v1()
    require_unchanged(body, {**shown, "stream_id": current.stream_id}, SSE_V1_READ_ONLY)
    return EditableProperties(
        events_requested=_events_requested(body, missing_required),
        delivery=_delivery(body, missing_required),
        # The profile knows no description, so it can neither change nor delete it.
        description=current.description,
        format=parse_format(body.get("format", body.get("subject_type"))),
    )


def _require_types(body: Mapping[str, Any]) -> None:
    """The first of the checks: a value of another type is no value to compare or judge."""
    for name, kind in (("events_requested", list), ("delivery", dict)):
        if name in body and not isinstance(body[name], kind):
            words = "an array of strings" if kind is list else "an object"
            raise MalformedStreamConfiguration(f"must be {words}", field=name)
    if not isinstance(body.get("format"), str | None):
        raise MalformedStreamConfiguration("must be a string", field="format")


def _events_requested(
    body: Mapping[str, Any], missing_required: MissingRequired
) -> tuple[str, ...]:
    if "events_requested" in body:
        return parse_events_requested(body["events_requested"])
    _require_may_miss("events_requested", missing_required)
    return ()


def _delivery(body: Mapping[str, Any], missing_required: MissingRequired) -> RequestedDelivery:
    if "delivery" in body:
        return parse_delivery(body["delivery"], legacy_names=True)
    _require_may_miss("delivery", missing_required)
    return DEFAULT_DELIVERY


def _require_may_miss(field: str, missing_required: MissingRequired) -> None:
    if missing_required is MissingRequired.REJECT:
        raise MalformedStreamConfiguration(
            "is required: this request replaces the whole configuration", field=field
        )

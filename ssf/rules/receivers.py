"""A receiver: the party that asks for streams, and what the operator agreed with it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What the operator agreed with one receiver.

    Attributes:
        id: Row number.
        project_id: The project (tenant) that it belongs to.
        client_id: Its public name.
        name: The operator's word for it; unique in the project.
        audience: The `aud` of its SETs, one or more.
        events_supported: Event type URIs on offer to it; None stands for all that we know.
        min_verification_interval_seconds: Shown as `min_verification_interval`; >= 0.
        max_streams: How many streams it may have; None for no limit.
        created_at: Microseconds UTC.
    """

    id: int
    project_id: int
    client_id: str
    name: str
    audience: tuple[str, ...]
    events_supported: tuple[str, ...] | None
    min_verification_interval_seconds: int
    max_streams: int | None
    created_at: int

"""A receiver: the party that asks for streams, and what the operator agreed with it."""

from dataclasses import dataclass

from ssf.rules.subject_membership import DefaultSubjects


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverTerms:
    """What the operator agreed with one receiver.

    Attributes:
        name: The operator's word for it; unique in the project.
        audience: The `aud` of its SETs, one or more.
        events_supported: Event type URIs on offer to it; None stands for all that we know.
        min_verification_interval_seconds: Shown as `min_verification_interval`; >= 0.
        max_streams: How many streams it may have; None for no limit.
        default_subjects: Whether its streams hold all subjects, or those that it added.
        inactivity_timeout_seconds: After how long without a sign of life a stream of its is
            paused, shown as `inactivity_timeout`; >= 1; None for never.
        legacy_event_uris: Whether verification and stream-updated events carry the URIs of the
            drafts of 2021.
        subject_in_event: Whether CAEP and RISC events carry the subject inside as well; None: on
            streams of the older profile only.
    """

    name: str
    audience: tuple[str, ...]
    events_supported: tuple[str, ...] | None
    min_verification_interval_seconds: int
    max_streams: int | None
    default_subjects: DefaultSubjects
    inactivity_timeout_seconds: int | None
    legacy_event_uris: bool
    subject_in_event: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver(ReceiverTerms):
    """A receiver that was added.

    Attributes:
        id: Row number.
        project_id: The project (tenant) that it belongs to.
        client_id: Its public name.
        created_at: Microseconds UTC.
    """

    id: int
    project_id: int
    client_id: str
    created_at: int

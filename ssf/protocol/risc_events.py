"""Events of Risk Incident Sharing and Coordination (RISC 1.0): what happened to an account.

RISC names no members common to its events. Those of CAEP are understood in all of them, so that
an event can say when and why whichever family it is from. Attributes that are None were absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ssf.protocol.event_payloads import (
    EventPayload,
    EventType,
    Member,
    language_map,
    one_of,
    text,
    timestamp,
)

_BASE: Final = "https://schemas.openid.net/secevent/risc/event-type/"

ACCOUNT_CREDENTIAL_CHANGE_REQUIRED: Final = f"{_BASE}account-credential-change-required"
ACCOUNT_PURGED: Final = f"{_BASE}account-purged"
ACCOUNT_DISABLED: Final = f"{_BASE}account-disabled"
ACCOUNT_ENABLED: Final = f"{_BASE}account-enabled"
IDENTIFIER_CHANGED: Final = f"{_BASE}identifier-changed"
IDENTIFIER_RECYCLED: Final = f"{_BASE}identifier-recycled"
CREDENTIAL_COMPROMISE: Final = f"{_BASE}credential-compromise"
OPT_IN: Final = f"{_BASE}opt-in"
OPT_OUT_INITIATED: Final = f"{_BASE}opt-out-initiated"
OPT_OUT_CANCELLED: Final = f"{_BASE}opt-out-cancelled"
OPT_OUT_EFFECTIVE: Final = f"{_BASE}opt-out-effective"
RECOVERY_ACTIVATED: Final = f"{_BASE}recovery-activated"
RECOVERY_INFORMATION_CHANGED: Final = f"{_BASE}recovery-information-changed"
SESSIONS_REVOKED: Final = f"{_BASE}sessions-revoked"

# Here `initiating_entity` is a habit taken from CAEP, so a peer may mean something else by it.
_COMMON: Final = (
    Member(name="event_timestamp", read=timestamp),
    Member(
        name="initiating_entity",
        read=one_of("admin", "user", "policy", "system", closed_on_receipt=False),
    ),
    Member(name="reason_admin", read=language_map),
    Member(name="reason_user", read=language_map),
)
_IDENTIFIER_FORMATS: Final = ("email", "phone_number")
"""RISC says "type email or phone"; the registered name of the second is `phone_number`."""


def _type(uri: str, *, deprecated: bool = False) -> EventType:
    name = uri.removeprefix(_BASE)
    return EventType(uri=uri, name=name, family="risc", deprecated=deprecated)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiscEvent(EventPayload):
    """What all RISC events may carry here.

    Attributes:
        event_timestamp: When it happened, seconds since 1970 UTC, fractions allowed.
        initiating_entity: Who set it off: `admin`, `user`, `policy` or `system`.
        reason_admin: Text for logs and audit by BCP 47 language tag, at least one.
        reason_user: Text for end users by BCP 47 language tag, at least one.
    """

    table: ClassVar[tuple[Member, ...]] = _COMMON

    event_timestamp: int | float | None = None
    initiating_entity: str | None = None
    reason_admin: Mapping[str, str] | None = None
    reason_user: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCredentialChangeRequired(RiscEvent):
    """The account had to change a credential, such as a leaked password (RISC 1.0 §2.1)."""

    event_type: ClassVar[EventType] = _type(ACCOUNT_CREDENTIAL_CHANGE_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPurged(RiscEvent):
    """The account was deleted for good (RISC 1.0 §2.2)."""

    event_type: ClassVar[EventType] = _type(ACCOUNT_PURGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDisabled(RiscEvent):
    """The account was disabled (RISC 1.0 §2.3).

    Attributes:
        reason: `hijacking` or `bulk-account`. The specification does not say MUST, so another
            word from a peer is kept as it is.
    """

    event_type: ClassVar[EventType] = _type(ACCOUNT_DISABLED)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="reason", read=one_of("hijacking", "bulk-account", closed_on_receipt=False)),
        *_COMMON,
    )
    example: ClassVar[Mapping[str, Any]] = {"reason": "hijacking"}

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEnabled(RiscEvent):
    """The account was enabled (RISC 1.0 §2.4)."""

    event_type: ClassVar[EventType] = _type(ACCOUNT_ENABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierChanged(RiscEvent):
    """The identifier that is the subject was changed to another (RISC 1.0 §2.5).

    The subject is the old value. Only the authority over the identifier should send this event.

    Attributes:
        new_value: The new value (`new-value` on the wire), or None when it is not told.
    """

    event_type: ClassVar[EventType] = _type(IDENTIFIER_CHANGED)
    table: ClassVar[tuple[Member, ...]] = (Member(name="new-value", read=text), *_COMMON)
    subject_formats: ClassVar[tuple[str, ...]] = _IDENTIFIER_FORMATS
    example: ClassVar[Mapping[str, Any]] = {"new-value": "john.roe@example.com"}

    new_value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierRecycled(RiscEvent):
    """The identifier that is the subject belongs to a new user now (RISC 1.0 §2.6)."""

    event_type: ClassVar[EventType] = _type(IDENTIFIER_RECYCLED)
    subject_formats: ClassVar[tuple[str, ...]] = _IDENTIFIER_FORMATS


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialCompromise(RiscEvent):
    """A credential of the account was found to be compromised (RISC 1.0 §2.7).

    Attributes:
        credential_type: As in CAEP's credential-change; an open list.
    """

    event_type: ClassVar[EventType] = _type(CREDENTIAL_COMPROMISE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="credential_type", read=text, required=True),
        *_COMMON,
    )
    example: ClassVar[Mapping[str, Any]] = {"credential_type": "password"}

    credential_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptIn(RiscEvent):
    """The account takes part in the exchange of RISC events (RISC 1.0 §2.8)."""

    event_type: ClassVar[EventType] = _type(OPT_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutInitiated(RiscEvent):
    """The account asked not to take part; events still flow for a while (RISC 1.0 §2.8)."""

    event_type: ClassVar[EventType] = _type(OPT_OUT_INITIATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutCancelled(RiscEvent):
    """The account takes part again: it took its opt-out back in time (RISC 1.0 §2.8)."""

    event_type: ClassVar[EventType] = _type(OPT_OUT_CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutEffective(RiscEvent):
    """The account does not take part any more (RISC 1.0 §2.8)."""

    event_type: ClassVar[EventType] = _type(OPT_OUT_EFFECTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryActivated(RiscEvent):
    """The user began to recover the account (RISC 1.0 §2.9)."""

    event_type: ClassVar[EventType] = _type(RECOVERY_ACTIVATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryInformationChanged(RiscEvent):
    """What the account is recovered with, such as a phone number, changed (RISC 1.0 §2.10)."""

    event_type: ClassVar[EventType] = _type(RECOVERY_INFORMATION_CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsRevoked(RiscEvent):
    """All sessions of the account ended. Deprecated: new code sends CAEP's session-revoked."""

    event_type: ClassVar[EventType] = _type(SESSIONS_REVOKED, deprecated=True)


EVENTS: Final[tuple[type[EventPayload], ...]] = (
    AccountCredentialChangeRequired,
    AccountPurged,
    AccountDisabled,
    AccountEnabled,
    IdentifierChanged,
    IdentifierRecycled,
    CredentialCompromise,
    OptIn,
    OptOutInitiated,
    OptOutCancelled,
    OptOutEffective,
    RecoveryActivated,
    RecoveryInformationChanged,
    SessionsRevoked,
)

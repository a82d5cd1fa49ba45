"""Events of the Continuous Access Evaluation Profile (CAEP 1.0), and risk-level-change.

Every CAEP event may carry the four members of `CaepEvent`. Attributes that are None were absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ssf.protocol.event_payloads import (
    EventPayload,
    EventType,
    Member,
    json_object,
    language_map,
    one_of,
    text,
    text_array,
    timestamp,
)

_BASE: Final = "https://schemas.openid.net/secevent/caep/event-type/"

SESSION_REVOKED: Final = f"{_BASE}session-revoked"
TOKEN_CLAIMS_CHANGE: Final = f"{_BASE}token-claims-change"
CREDENTIAL_CHANGE: Final = f"{_BASE}credential-change"
ASSURANCE_LEVEL_CHANGE: Final = f"{_BASE}assurance-level-change"
DEVICE_COMPLIANCE_CHANGE: Final = f"{_BASE}device-compliance-change"
SESSION_ESTABLISHED: Final = f"{_BASE}session-established"
SESSION_PRESENTED: Final = f"{_BASE}session-presented"
RISK_LEVEL_CHANGE: Final = f"{_BASE}risk-level-change"

COMMON_MEMBERS: Final = (
    Member(name="event_timestamp", read=timestamp),
    Member(name="initiating_entity", read=one_of("admin", "user", "policy", "system")),
    Member(name="reason_admin", read=language_map),
    Member(name="reason_user", read=language_map),
)
"""What every CAEP event may carry (CAEP 1.0 §2)."""
_COMPLIANCE: Final = one_of("compliant", "not-compliant")
_RISK_LEVEL: Final = one_of("LOW", "MEDIUM", "HIGH")


def _type(uri: str) -> EventType:
    return EventType(uri=uri, name=uri.removeprefix(_BASE), family="caep")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaepEvent(EventPayload):
    """What all CAEP events may carry (CAEP 1.0 §2).

    Attributes:
        event_timestamp: When the change happened, seconds since 1970 UTC, fractions allowed.
        initiating_entity: Who set it off: `admin`, `user`, `policy` or `system`.
        reason_admin: Text for logs and audit by BCP 47 language tag, at least one.
        reason_user: Text for end users by BCP 47 language tag, at least one.
    """

    event_timestamp: int | float | None = None
    initiating_entity: str | None = None
    reason_admin: Mapping[str, str] | None = None
    reason_user: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked(CaepEvent):
    """The session of the subject, or all that match a complex subject, ended (CAEP 1.0 §3.1)."""

    event_type: ClassVar[EventType] = _type(SESSION_REVOKED)
    table: ClassVar[tuple[Member, ...]] = COMMON_MEMBERS


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaimsChange(CaepEvent):
    """A claim in the token that the subject identifies changed (CAEP 1.0 §3.2).

    Attributes:
        claims: Claim name to its new value, at least one.
    """

    event_type: ClassVar[EventType] = _type(TOKEN_CLAIMS_CHANGE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="claims", read=json_object, required=True),
        *COMMON_MEMBERS,
    )
    example: ClassVar[Mapping[str, Any]] = {"claims": {"role": "ro-admin"}}

    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialChange(CaepEvent):
    """A credential was created, changed, revoked or deleted (CAEP 1.0 §3.3).

    Attributes:
        credential_type: `password`, `pin`, `x509`, `fido2-platform`, `fido2-roaming`,
            `fido-u2f`, `verifiable-credential`, `phone-voice`, `phone-sms`, `app`, or any other
            that the parties agreed on.
        change_type: `create`, `revoke`, `update` or `delete`.
        friendly_name: What its owner calls the credential.
        x509_issuer: Issuer of the certificate.
        x509_serial: Serial number of the certificate.
        fido2_aaguid: Attestation GUID of the authenticator.
    """

    event_type: ClassVar[EventType] = _type(CREDENTIAL_CHANGE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="credential_type", read=text, required=True),
        Member(
            name="change_type", read=one_of("create", "revoke", "update", "delete"), required=True
        ),
        Member(name="friendly_name", read=text),
        Member(name="x509_issuer", read=text),
        Member(name="x509_serial", read=text),
        Member(name="fido2_aaguid", read=text),
        *COMMON_MEMBERS,
    )
    example: ClassVar[Mapping[str, Any]] = {"credential_type": "password", "change_type": "update"}

    credential_type: str
    change_type: str
    friendly_name: str | None = None
    x509_issuer: str | None = None
    x509_serial: str | None = None
    fido2_aaguid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssuranceLevelChange(CaepEvent):
    """How surely the subject is known changed since login (CAEP 1.0 §3.4).

    Attributes:
        namespace: Where the levels are from: `RFC8176`, `RFC6711`, `ISO-IEC-29115`, `NIST-IAL`,
            `NIST-AAL`, `NIST-FAL`, or an alias that the parties agreed on.
        current_level: The level now.
        previous_level: The level before; None means unknown to the transmitter.
        change_direction: `increase` or `decrease`; should go with `previous_level`.
    """

    event_type: ClassVar[EventType] = _type(ASSURANCE_LEVEL_CHANGE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="namespace", read=text, required=True),
        Member(name="current_level", read=text, required=True),
        Member(name="previous_level", read=text),
        Member(name="change_direction", read=one_of("increase", "decrease")),
        *COMMON_MEMBERS,
    )
    example: ClassVar[Mapping[str, Any]] = {"namespace": "NIST-AAL", "current_level": "nist-aal2"}

    namespace: str
    current_level: str
    previous_level: str | None = None
    change_direction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceComplianceChange(CaepEvent):
    """A device began or ceased to comply (CAEP 1.0 §3.5).

    Attributes:
        previous_status: `compliant` or `not-compliant`.
        current_status: `compliant` or `not-compliant`.
    """

    event_type: ClassVar[EventType] = _type(DEVICE_COMPLIANCE_CHANGE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="previous_status", read=_COMPLIANCE, required=True),
        Member(name="current_status", read=_COMPLIANCE, required=True),
        *COMMON_MEMBERS,
    )
    example: ClassVar[Mapping[str, Any]] = {
        "previous_status": "compliant",
        "current_status": "not-compliant",
    }

    previous_status: str
    current_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEstablished(CaepEvent):
    """The transmitter established a session for the subject (CAEP 1.0 §3.6).

    Attributes:
        fp_ua: Fingerprint of the user agent, computed by the transmitter.
        acr: Authentication context class reference, as in an ID Token.
        amr: Authentication methods, as in an ID Token.
        ext_id: Identifier of a broader session that this one belongs to.
    """

    event_type: ClassVar[EventType] = _type(SESSION_ESTABLISHED)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="fp_ua", read=text),
        Member(name="acr", read=text),
        Member(name="amr", read=text_array),
        Member(name="ext_id", read=text),
        *COMMON_MEMBERS,
    )

    fp_ua: str | None = None
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    ext_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPresented(CaepEvent):
    """The transmitter saw the subject's session in use (CAEP 1.0 §3.7).

    Attributes:
        fp_ua: Fingerprint of the user agent, computed by the transmitter.
        ext_id: Identifier of a broader session that this one belongs to.
    """

    event_type: ClassVar[EventType] = _type(SESSION_PRESENTED)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="fp_ua", read=text),
        Member(name="ext_id", read=text),
        *COMMON_MEMBERS,
    )

    fp_ua: str | None = None
    ext_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLevelChange(CaepEvent):
    """The risk of the subject changed (CAEP 1.0 §3.8).

    Attributes:
        principal: What is at risk: `USER`, `DEVICE`, `SESSION`, `TENANT`, `ORG_UNIT`, `GROUP`,
            or another entity of SSF 1.0 §2, so the list is open.
        current_level: `LOW`, `MEDIUM` or `HIGH`.
        previous_level: Likewise; None means unknown to the transmitter.
        risk_reason: Why; recommended.
    """

    event_type: ClassVar[EventType] = _type(RISK_LEVEL_CHANGE)
    table: ClassVar[tuple[Member, ...]] = (
        Member(name="principal", read=text, required=True),
        Member(name="current_level", read=_RISK_LEVEL, required=True),
        Member(name="previous_level", read=_RISK_LEVEL),
        Member(name="risk_reason", read=text),
        *COMMON_MEMBERS,
    )
    example: ClassVar[Mapping[str, Any]] = {"principal": "USER", "current_level": "HIGH"}

    principal: str
    current_level: str
    previous_level: str | None = None
    risk_reason: str | None = None


EVENTS: Final[tuple[type[EventPayload], ...]] = (
    SessionRevoked,
    TokenClaimsChange,
    CredentialChange,
    AssuranceLevelChange,
    DeviceComplianceChange,
    SessionEstablished,
    SessionPresented,
    RiskLevelChange,
)

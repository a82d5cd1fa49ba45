"""The registry of event types."""

import pytest

from ssf.protocol import caep_events, oauth_events, risc_events, scim_events, ssf_events
from ssf.protocol.errors import UnknownEventType
from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    EVENT_TYPES,
    OAUTH_EVENT_TYPE_URIS,
    PROTOCOL_EVENT_TYPE_URIS,
    RISC_EVENT_TYPE_URIS,
    SCIM_EVENT_TYPE_URIS,
    SESSION_REVOKED,
    SPECIFIED_PREFIXES,
    find_event_type,
)

SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SCIM = "urn:ietf:params:scim:event:"
OAUTH = "https://schemas.openid.net/secevent/oauth/event-type/"
NAMES = {
    "ssf": ["verification", "stream-updated"],
    "caep": [
        "session-revoked",
        "token-claims-change",
        "credential-change",
        "assurance-level-change",
        "device-compliance-change",
        "session-established",
        "session-presented",
        "risk-level-change",
    ],
    "risc": [
        "account-credential-change-required",
        "account-purged",
        "account-disabled",
        "account-enabled",
        "identifier-changed",
        "identifier-recycled",
        "credential-compromise",
        "opt-in",
        "opt-out-initiated",
        "opt-out-cancelled",
        "opt-out-effective",
        "recovery-activated",
        "recovery-information-changed",
        "sessions-revoked",
    ],
    "scim": [
        "feed:add",
        "feed:remove",
        "prov:create:full",
        "prov:create:notice",
        "prov:patch:full",
        "prov:patch:notice",
        "prov:put:full",
        "prov:put:notice",
        "prov:delete",
        "prov:activate",
        "prov:deactivate",
        "misc:asyncresp",
    ],
    "oauth": [
        "token-issued",
        "token-revoked",
        "tokens-revoked",
        "client-disabled",
        "client-enabled",
        "client-credential-changed",
    ],
}


@pytest.mark.parametrize(
    ("family", "base", "uris", "module"),
    [
        ("ssf", SSF, PROTOCOL_EVENT_TYPE_URIS, ssf_events),
        ("caep", CAEP, CAEP_EVENT_TYPE_URIS, caep_events),
        ("risc", RISC, RISC_EVENT_TYPE_URIS, risc_events),
        ("scim", SCIM, SCIM_EVENT_TYPE_URIS, scim_events),
        ("oauth", OAUTH, OAUTH_EVENT_TYPE_URIS, oauth_events),
    ],
    ids=lambda value: value if value in NAMES else "",
)
def test_each_family_has_the_uris_of_its_specification(family, base, uris, module):
    assert list(uris) == [base + name for name in NAMES[family]]
    for uri in uris:
        assert EVENT_TYPES[uri].uri == uri
        assert EVENT_TYPES[uri].name == uri.removeprefix(base)
        assert EVENT_TYPES[uri].family == family
        assert uri.startswith(SPECIFIED_PREFIXES)
        constant = EVENT_TYPES[uri].name.upper().replace("-", "_").replace(":", "_")
        assert getattr(module, constant) == uri


def test_the_registry_holds_all_families_in_order_and_short_names_are_unique():
    assert list(EVENT_TYPES) == [
        *PROTOCOL_EVENT_TYPE_URIS,
        *CAEP_EVENT_TYPE_URIS,
        *RISC_EVENT_TYPE_URIS,
        *SCIM_EVENT_TYPE_URIS,
        *OAUTH_EVENT_TYPE_URIS,
    ]
    assert len({event_type.name for event_type in EVENT_TYPES.values()}) == len(EVENT_TYPES) == 42


def test_no_short_name_is_the_uri_of_another_type():
    assert not {event_type.name for event_type in EVENT_TYPES.values()} & set(EVENT_TYPES)


def test_of_all_types_only_sessions_revoked_is_deprecated():
    deprecated = [one.name for one in EVENT_TYPES.values() if one.deprecated]
    assert deprecated == ["sessions-revoked"]


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda one: one.name)
def test_an_event_type_is_found_by_uri_and_by_short_name(event_type):
    assert find_event_type(event_type.uri) is event_type
    assert find_event_type(event_type.name) is event_type


@pytest.mark.parametrize(
    "unknown",
    [
        "", "Session-Revoked", SESSION_REVOKED + "/", SESSION_REVOKED.upper(), "logout\x1b", None, 1, [],
        # Spellings of drafts and of other implementations.
        "token-claims-changed", f"{CAEP}token-claims-changed", f"{RISC}verification",
        "urn:ietf:params:SCIM:event:prov:create:full", f"{SCIM}misc:asyncResp", f"{SCIM}sig:authMethod",
        f"{SCIM}sig:pwdReset", "prov:create:Full", "create:full",
    ],
)  # fmt: skip
def test_anything_else_is_unknown(unknown):
    with pytest.raises(UnknownEventType) as caught:
        find_event_type(unknown)
    assert caught.value.code == "unknown_event_type"
    assert caught.value.reason.isprintable()


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        EVENT_TYPES["urn:x"] = EVENT_TYPES[SESSION_REVOKED]  # type: ignore[index]

"""The registry of event types."""

import pytest

from ssf.protocol import event_types
from ssf.protocol.errors import UnknownEventType
from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    EVENT_TYPES,
    PROTOCOL_EVENT_TYPE_URIS,
    SESSION_REVOKED,
    find_event_type,
)

SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
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
}


@pytest.mark.parametrize(
    ("family", "base", "uris"),
    [("ssf", SSF, PROTOCOL_EVENT_TYPE_URIS), ("caep", CAEP, CAEP_EVENT_TYPE_URIS)],
)
def test_each_family_has_the_uris_of_its_specification(family, base, uris):
    assert list(uris) == [base + name for name in NAMES[family]]
    for uri in uris:
        assert EVENT_TYPES[uri].uri == uri
        assert EVENT_TYPES[uri].family == family
        constant = EVENT_TYPES[uri].name.upper().replace("-", "_")
        assert getattr(event_types, constant) == uri


def test_the_registry_holds_both_families_and_names_are_unique():
    assert list(EVENT_TYPES) == [*PROTOCOL_EVENT_TYPE_URIS, *CAEP_EVENT_TYPE_URIS]
    assert len({event_type.name for event_type in EVENT_TYPES.values()}) == len(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda one: one.name)
def test_an_event_type_is_found_by_uri_and_by_short_name(event_type):
    assert find_event_type(event_type.uri) is event_type
    assert find_event_type(event_type.name) is event_type


@pytest.mark.parametrize(
    "unknown",
    ["", "Session-Revoked", SESSION_REVOKED + "/", SESSION_REVOKED.upper(), "logout\x1b", None, 1, []],
)  # fmt: skip
def test_anything_else_is_unknown(unknown):
    with pytest.raises(UnknownEventType) as caught:
        find_event_type(unknown)
    assert caught.value.code == "unknown_event_type"
    assert caught.value.reason.isprintable()


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        EVENT_TYPES["urn:x"] = EVENT_TYPES[SESSION_REVOKED]  # type: ignore[index]

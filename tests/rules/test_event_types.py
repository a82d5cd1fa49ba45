"""Which event types may be registered, and which are on offer."""

import pytest

from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    EVENT_TYPES,
    OAUTH_EVENT_TYPE_URIS,
    PROTOCOL_EVENT_TYPE_URIS,
    RISC_EVENT_TYPE_URIS,
    SCIM_EVENT_TYPE_URIS,
    SESSION_REVOKED,
)
from ssf.rules.errors import InvalidRequest
from ssf.rules.event_types import custom_name, event_types_on_offer, require_custom_uri

DOOR = "https://example.com/events/door-opened"
ALL = (*CAEP_EVENT_TYPE_URIS, *RISC_EVENT_TYPE_URIS, *SCIM_EVENT_TYPE_URIS)


@pytest.mark.parametrize(
    "uri",
    [
        DOOR,
        "urn:example:events:door",
        "tag:example.com,2026:door",
        "https://e.com/#door",
        "https://e.com/" + "x" * 1010,
        # Spelled as others spell theirs, but not as the specifications do.
        "urn:ietf:params:SCIM:event:prov:create",
        "https://schemas.openid.net/other/x",
    ],
)
def test_an_absolute_uri_of_ones_own_may_be_registered(uri):
    require_custom_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *EVENT_TYPES,
        "https://schemas.openid.net/secevent/caep/event-type/token-claims-changed",
        "https://schemas.openid.net/secevent/risc/event-type/verification",
        "HTTPS://Schemas.OpenID.net:443/secevent/mine",
        "urn:ietf:params:scim:event:sig:pwdReset",
        "URN:ietf:params:scim:event:mine",
        "prov:create:full",
        "misc:asyncresp",
        "",
        "door-opened",
        "/events/door-opened",
        "//example.com/x",
        "https://example.com/a b",
        "https://example.com/\u00e9",
        "https://e.com/" + "x" * 1011,
    ],
)
def test_what_is_no_uri_or_the_specifications_to_define_may_not_be_registered(uri):
    with pytest.raises(InvalidRequest) as caught:
        require_custom_uri(uri)
    assert caught.value.field == "uri"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (DOOR, "door-opened"),
        ("urn:example:door", "door"),
        ("https://e.com/x#door", "door"),
        ("https://e.com/x?door", "door"),
        ("tag:e.com,2026:a/b/c.d_e", "c.d_e"),
    ],
)
def test_without_a_name_the_last_part_of_the_uri_is_it(uri, name):
    assert custom_name(uri, None) == name
    assert custom_name(uri, "other") == "other"


@pytest.mark.parametrize(
    "uri",
    ["https://e.com/", "https://e.com/x=1", "https://e.com/" + "x" * 65, "https://e.com/-x"],
)
def test_a_uri_that_ends_in_no_name_needs_one(uri):
    with pytest.raises(InvalidRequest) as caught:
        custom_name(uri, None)
    assert caught.value.field == "name"
    assert "URI" in caught.value.description
    assert custom_name(uri, "x" * 64) == "x" * 64


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a/b", "-a", ".a", "\u00e9", "a\n", "x" * 65, *("a\x00", "a%")]
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(InvalidRequest) as caught:
        custom_name(DOOR, name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("name", ["session-revoked", "verification", "opt-in", "token-revoked"])
def test_the_names_of_the_specifications_are_taken_and_so_are_those_that_are_off(name):
    for uri, said in ((DOOR, name), (f"https://e.com/{name}", None)):
        with pytest.raises(InvalidRequest) as caught:
            custom_name(uri, said)
        assert caught.value.field == "name"


def test_everything_on_offer_is_every_family_in_order_and_then_the_projects_own():
    assert event_types_on_offer(None, [], oauth_events=False) == ALL
    assert event_types_on_offer(None, ["u:2", "u:1"], oauth_events=False) == (*ALL, "u:2", "u:1")
    assert event_types_on_offer(None, ["u:1"], oauth_events=True) == (
        *ALL,
        *OAUTH_EVENT_TYPE_URIS,
        "u:1",
    )
    assert not {*PROTOCOL_EVENT_TYPE_URIS} & {*event_types_on_offer(None, [], oauth_events=True)}


def test_a_list_of_ones_own_keeps_its_order_and_loses_what_is_no_more():
    token = OAUTH_EVENT_TYPE_URIS[0]
    own = ("u:gone", token, "u:1", SESSION_REVOKED)
    assert event_types_on_offer(own, ["u:1"], oauth_events=False) == ("u:1", SESSION_REVOKED)
    assert event_types_on_offer(own, ["u:1"], oauth_events=True) == (token, "u:1", SESSION_REVOKED)
    assert event_types_on_offer((), ["u:1"], oauth_events=True) == ()

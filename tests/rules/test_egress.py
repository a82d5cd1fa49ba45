"""Which URLs are accepted at write time, and which addresses may be dialled."""

import contextlib
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.egress import (
    MAX_URL_LENGTH,
    EgressPolicy,
    address_refusal,
    check_url,
    parse_networks,
)
from ssf.rules.errors import UrlRefused

STRICT = EgressPolicy()
WITH_HTTP = EgressPolicy(allow_http=True)
DEV = EgressPolicy(allow_http=True, allowed_networks=parse_networks("127.0.0.0/8,::1/128"))

LOOPBACK_SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0x7f.1",
    "0x7F000001",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.0.0.1.",
    "127.255.255.254",
]


def refusal_of(url: object, policy: EgressPolicy = STRICT) -> UrlRefused:
    with pytest.raises(UrlRefused) as caught:
        check_url(url, policy, field="delivery.endpoint_url")
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "https://receiver.example/events",
        "https://receiver.example",
        "https://receiver.example:443/events?a=b%20c&d=%C3%A4",
        "HTTPS://Receiver.Example./events",
        "https://a_b-c.receiver.example/",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/events",
        "https://0x7f.receiver.example/",
        "https://receiver.example/a/../b?q={x}|[y]",
        "https://receiver.example?q=//user@other",
    ],
)
def test_an_ordinary_https_url_is_returned_unchanged(url):
    assert check_url(url, STRICT, field="endpoint_url") == url


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_f61_loopback_is_refused_in_every_spelling_that_name_resolution_understands(host):
    refusal = refusal_of(f"https://{host}/events")
    assert "loopback" in refusal.description
    assert "SSF_EGRESS_ALLOW" in refusal.description
    assert refusal.field == "delivery.endpoint_url"


@pytest.mark.parametrize("host", ["0", "0.0.0.0", "0x0", "00", "0x"])
def test_f61_the_unspecified_address_is_refused(host):
    assert "unspecified" in refusal_of(f"https://{host}/").description


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "foo.localhost", "foo.LocalHost.", "a.b.localhost"],
)
def test_f61_names_of_this_machine_are_refused_unless_loopback_is_allowed(host):
    assert "SSF_EGRESS_ALLOW" in refusal_of(f"https://{host}/").description
    url = f"http://{host}:8080/events"
    assert check_url(url, DEV, field="endpoint_url") == url


@pytest.mark.parametrize(
    "host", ["127。0。0。1", "①②⑦.0.0.1", "\uff11\uff12\uff17.0.0.1", "bücher.example"]
)
def test_f61_a_host_that_is_not_ascii_is_refused(host):
    assert "ASCII" in refusal_of(f"https://{host}/").description


@pytest.mark.parametrize(
    "host",
    [
        "256.1.1.1",
        "1.2.3.4.5",
        "1.2.3.0400",
        "4294967296",
        "1.16777216",
        "08.1.1.1",
        "a.b.1",
        "1..1",
    ],
)
def test_f61_a_host_that_ends_in_a_number_but_is_no_address_is_refused(host):
    assert "not an IPv4 address" in refusal_of(f"https://{host}/").description


def test_a_permitted_address_must_be_written_in_the_usual_way():
    assert "as 127.0.0.1" in refusal_of("http://127.1:8080/", DEV).description
    assert "as 8.8.8.8" in refusal_of("https://134744072/").description


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.1",
        "192.0.0.8",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "168.63.129.16",
    ],
)
def test_f62_special_ipv4_addresses_are_refused_bare_and_wrapped_in_ipv6(address):
    number = int(ip_address(address))
    wrapped = [f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"]
    for spelling in (address, *wrapped):
        assert address_refusal(spelling, 443, STRICT) not in (None, "port"), spelling
    refusal_of(f"https://{address}/")
    for spelling in wrapped:
        refusal_of(f"https://[{spelling}]/")


@pytest.mark.parametrize(
    "address",
    [
        "::1",
        "::",
        "::2",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "::ffff:0:0",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:0:0:0:1::",
        "64:ff9b:1::1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:808:808::1",
        "2001:0:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "fe80::1",
        "febf::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "100::1",
        "100:0:0:1::1",
        "4000::1",
        "1::1",
    ],
)
def test_f63_special_ipv6_addresses_are_refused(address):
    assert address_refusal(address, 443, STRICT) not in (None, "port")
    refusal_of(f"https://[{address}]/")


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1%1", "::1%lo"])
def test_f63_an_address_with_a_zone_is_refused_even_where_its_network_is_allowed(address):
    everything = EgressPolicy(allowed_networks=parse_networks("::/0"))
    assert address_refusal(address, 443, everything) == "scoped"
    refusal_of(f"https://[{address.replace('%', '%25')}]/", everything)
    refusal_of(f"https://[{address}]/", everything)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_may_be_dialled(address):
    assert address_refusal(address, 443, STRICT) is None


@pytest.mark.parametrize("address", ["", "receiver.example", "127.1", "1", "0x7f000001", "::g"])
def test_what_is_no_address_in_numbers_is_not_dialled(address):
    assert address_refusal(address, 443, DEV) == "not_an_address"


def test_an_allowed_network_is_dialled_at_any_port_also_when_wrapped():
    assert address_refusal("127.0.0.1", 8080, DEV) is None
    assert address_refusal("::ffff:127.0.0.1", 22, DEV) is None
    assert address_refusal("64:ff9b::7f00:1", 22, DEV) is None
    assert address_refusal("::1", 1, DEV) is None
    assert address_refusal("10.0.0.1", 443, DEV) == "private"


def test_an_allowed_ipv6_network_is_matched_by_the_address_as_it_is_written():
    nat = EgressPolicy(allowed_networks=parse_networks("64:ff9b:1::/48"))
    assert address_refusal("64:ff9b:1::a00:1", 443, nat) is None
    assert address_refusal("10.0.0.1", 443, nat) == "private"


def test_an_address_that_merely_mentions_an_allowed_one_is_not_dialled():
    for address in ("2002:7f00:1::", "::127.0.0.1", "2001:0:7f00:1::1"):
        assert address_refusal(address, 443, DEV) == "transition"


@pytest.mark.parametrize(
    ("port", "policy", "expected"),
    [
        (443, STRICT, None),
        (80, STRICT, "port"),
        (80, WITH_HTTP, None),
        (443, WITH_HTTP, None),
        (22, STRICT, "port"),
        (8443, WITH_HTTP, "port"),
        (0, STRICT, "port"),
        (8443, DEV, "port"),
    ],
)
def test_public_addresses_are_dialled_at_the_usual_ports_only(port, policy, expected):
    assert address_refusal("8.8.8.8", port, policy) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://a:b@receiver.example/",
        "https://a@receiver.example/",
        "https://@receiver.example/",
        "https://good.example@127.0.0.1/",
        "https://127.0.0.1%2f@good.example/",
        "https://127.0.0.1#@good.example",
        "https://127.0.0.1\\@good.example",
        "https://good.example\\.evil.example/",
        "https://receiver.example:80:90/",
        "https://receiver.example:/",
        "https://receiver.example:x/",
        "https://receiver.example:-1/",
        "https://receiver.example:4 43/",
        "https://receiver .example/",
        "https://receiver.example/a b",
        "https://receiver.example/a\tb",
        "https://receiver.example/a\r\nHost: x",
        "https://receiver.example/\x00",
        "https://receiver.example/\x7f",
        " https://receiver.example/",
        "https://receiver.example/\n",
        "https:///x",
        "https://",
        "https://:443/",
        "https:/receiver.example/",
        "https:receiver.example",
        "https://?x",
        "https://receiver..example/",
        "https://.receiver.example/",
        "https://receiver.example../",
        "https://-receiver.example/",
        "https://receiver%2eexample/",
        "https://%31%32%37.0.0.1/",
        "https://[::1",
        "https://::1/",
        "https://[::1]x/",
        "https://[127.0.0.1]/",
        "https://[v1.x]/",
        "https://receiver.example/#",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "",
        "/events",
        "//receiver.example/events",
        "receiver.example",
        None,
        7,
        b"https://receiver.example/",
        ["https://receiver.example/"],
    ],
)
def test_f67_a_url_that_could_be_read_in_two_ways_or_holds_secrets_is_refused(url):
    assert refusal_of(url).description.endswith(".")


@pytest.mark.parametrize("port", [0, 22, 25, 80, 8443, 65536, 99999])
def test_f67_only_port_443_is_accepted_by_default(port):
    assert "ort" in refusal_of(f"https://receiver.example:{port}/").description
    assert "ort" in refusal_of(f"https://8.8.8.8:{port}/").description


def test_f67_port_80_is_accepted_where_http_is():
    for url in ("http://receiver.example/", "http://receiver.example:80/", "http://8.8.8.8/"):
        assert check_url(url, WITH_HTTP, field="endpoint_url") == url
    refusal_of("http://receiver.example:8080/", WITH_HTTP)


def test_f67_a_literal_has_any_port_within_an_allowed_network_only():
    assert check_url("http://127.0.0.1:9/", DEV, field="endpoint_url") == "http://127.0.0.1:9/"
    assert check_url("https://[::1]:9/", DEV, field="endpoint_url") == "https://[::1]:9/"
    assert "SSF_EGRESS_ALLOW" in refusal_of("https://8.8.8.8:9/", DEV).description


def test_f67_a_name_has_any_port_where_networks_are_allowed_since_dialling_decides():
    url = "https://receiver.example:8443/"
    assert check_url(url, DEV, field="endpoint_url") == url
    refusal_of("https://receiver.example:0/", DEV)
    refusal_of("https://receiver.example:65536/", DEV)


def test_f67_a_url_may_have_2048_characters_and_not_one_more():
    base = "https://receiver.example/"
    longest = base + "x" * (MAX_URL_LENGTH - len(base))
    assert check_url(longest, STRICT, field="endpoint_url") == longest
    assert "2048" in refusal_of(longest + "x").description


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://receiver.example/",
        "ftp://receiver.example/",
        "data:text/plain,x",
        "unix:///run/docker.sock",
        "javascript:alert(1)",
        "wss://receiver.example/",
        "tcp://receiver.example:443",
    ],
)
def test_f68_other_schemes_are_refused_even_in_development(url):
    refusal_of(url)
    refusal_of(url, DEV)


@pytest.mark.parametrize("url", ["http://receiver.example/", "HTTP://receiver.example/"])
def test_f68_http_is_refused_unless_the_operator_permits_it(url):
    assert "SSF_ALLOW_HTTP" in refusal_of(url).description
    assert check_url(url, WITH_HTTP, field="endpoint_url") == url


def test_networks_are_read_from_a_comma_separated_list():
    assert parse_networks("") == ()
    assert parse_networks(" 10.0.0.0/8 ,::1/128, 192.0.2.7,") == (
        IPv4Network("10.0.0.0/8"),
        IPv6Network("::1/128"),
        IPv4Network("192.0.2.7/32"),
    )


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "10.0.0.0-10.0.0.9"])
def test_a_bad_network_is_named(bad):
    with pytest.raises(ValueError, match=bad.replace(".", r"\.")):
        parse_networks(f"::1/128,{bad}")


@given(st.from_regex(r"[a-zA-Z0-9_.-]{1,70}(:[0-9]{1,5})?(/x)?", fullmatch=True))
def test_a_host_that_was_accepted_can_always_be_looked_up(rest):
    """Neither the resolver nor TLS may stumble over a name that was accepted at write time."""
    with contextlib.suppress(UrlRefused):
        check_url(f"https://{rest}", DEV, field="endpoint_url")
        rest.partition("/")[0].partition(":")[0].encode("idna")


@given(st.text(max_size=40))
def test_any_text_is_accepted_or_refused_and_nothing_else(text):
    for url in (text, f"https://{text}", f"https://[{text}]:443/"):
        with contextlib.suppress(UrlRefused):
            assert check_url(url, DEV, field="endpoint_url") == url


@given(st.ip_addresses(v=4))
def test_a_literal_is_judged_alike_in_every_spelling(address):
    number = int(address)
    spellings = [str(number), hex(number), f"0{number:o}", f"{number >> 24}.{number & 0xFFFFFF}"]
    refused = address_refusal(str(address), 443, STRICT) is not None
    for spelling in spellings:
        description = refusal_of(f"https://{spelling}/").description
        assert ("not on the public internet" in description) == refused

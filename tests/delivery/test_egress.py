"""The outbound client against a receiver that does everything a receiver should not."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import ClientOSError
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from ssf.delivery.egress import (
    EgressAnswer,
    EgressBlocked,
    EgressClient,
    EgressConnectionFailed,
    EgressFailed,
    EgressProtocolFailed,
    EgressTimeout,
    EgressTlsFailed,
)
from ssf.delivery.egress_errors import explain_failure
from ssf.rules.egress import EgressPolicy, parse_networks
from tests import evil_receiver as evil
from tests.evil_receiver import EvilReceiver

DEV = EgressPolicy(allow_http=True, allowed_networks=parse_networks("127.0.0.1"))
HEADERS = {
    "Content-Type": "application/secevent+jwt",
    "Accept": "application/json",
    "Authorization": "Bearer s3cret",
}
BODY = b"header.payload.signature"
NAME = "receiver.example"
GIVE_UP_SECONDS = 20.0  # far beyond every deadline: a test fails instead of hanging
SHARED_TLS = ssl.create_default_context()  # reading all certificates takes longer than most tests


class ScriptedResolver(AbstractResolver):
    """Gives the first list of addresses to the first question, and so on; the last repeats."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.questions: list[str] = []

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answer = self.answers[min(len(self.questions), len(self.answers) - 1)]
        self.questions.append(host)
        return [
            ResolveResult(hostname=host, host=item, port=port, family=family, proto=0, flags=0)
            for item in answer
        ]

    @override
    async def close(self) -> None:
        pass


class SilentResolver(ScriptedResolver):
    """Never answers."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class BrokenResolver(ScriptedResolver):
    """Knows no name."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def make_client(policy: EgressPolicy = DEV, **options) -> EgressClient:
    """Make a client with a deadline that is long enough for loopback."""
    return EgressClient(
        policy,
        user_agent="test/1",
        **{
            "deadline_seconds": 5.0,
            "body_grace_seconds": 0.2,
            "ssl_context": SHARED_TLS,
            **options,
        },
    )


async def post(client: EgressClient, url: str, body: bytes = BODY) -> EgressAnswer:
    async with asyncio.timeout(GIVE_UP_SECONDS):
        return await client.post(url, headers=HEADERS, body=body)


async def failure_of(client: EgressClient, url: str, body: bytes = BODY) -> EgressFailed:
    with pytest.raises(EgressFailed) as caught:
        await post(client, url, body)
    return caught.value


@pytest.fixture
async def receiver():
    async with EvilReceiver() as running:
        running.on("/ok", evil.answer(202))
        yield running


@pytest.fixture
async def client():
    async with make_client() as running:
        yield running


# ---------------------------------------------------------------- what we send and take


async def test_f41_an_empty_202_is_an_answer(client, receiver):
    answer = await post(client, receiver.url("/ok"))
    assert answer == EgressAnswer(
        status=202,
        headers={"content-length": "0"},
        retry_after=(),
        content_type=None,
        body=b"",
        is_body_whole=True,
    )
    assert receiver.bodies == [BODY]


async def test_nothing_is_sent_but_what_was_given_and_what_http_needs(client, receiver):
    await post(client, receiver.url("/ok"))
    (request,) = receiver.requests
    assert dict(request.headers) == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "test/1",
        "accept-encoding": "identity",
        "content-length": str(len(BODY)),
        **{name.lower(): value for name, value in HEADERS.items()},
    }
    await client.post(receiver.url("/ok"), headers={}, body=b"")
    assert "content-type" not in receiver.requests[1].headers
    assert "accept" not in receiver.requests[1].headers


async def test_a_url_is_sent_byte_for_byte(client, receiver):
    await post(client, receiver.url("/a/../ok%7e?q=%2b{}|&sig=a%2Fb=="))
    assert receiver.requests[0].target == "/a/../ok%7e?q=%2b{}|&sig=a%2Fb=="


async def test_a_connection_is_used_again(client, receiver):
    for _ in range(3):
        assert (await post(client, receiver.url("/ok"))).status == 202
    assert receiver.connection_count == 1


async def test_an_answer_carries_all_retry_after_values_and_the_first_of_other_headers(
    client, receiver
):
    receiver.on(
        "/busy",
        evil.raw(
            b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nX-A: 1\r\nretry-after: banana\r\nx-a: 2\r\n"
            b"Content-Type: Application/JSON; charset=utf-8\r\nX-Raw: \xff\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        ),
    )
    answer = await post(client, receiver.url("/busy"))
    assert (answer.status, answer.body, answer.content_type) == (503, b"{}", "application/json")
    assert answer.retry_after == ("5", "banana")
    assert answer.headers["x-a"] == "1"
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["x-raw"] == "\N{REPLACEMENT CHARACTER}"


async def test_m16_cookies_of_one_receiver_are_neither_kept_nor_sent(receiver):
    receiver.on("/cookie", evil.answer(202, {"Set-Cookie": "a=b; Path=/"}))
    async with make_client(resolver=ScriptedResolver(["127.0.0.1"])) as client:
        for _ in range(2):
            await post(client, receiver.url("/cookie", host=NAME))
    assert "cookie" not in receiver.requests[1].headers


async def test_f69_proxies_and_netrc_of_the_environment_are_ignored(
    receiver, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with EvilReceiver() as proxy, make_client() as client:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        answer = await client.post(receiver.url("/ok"), headers={}, body=b"")
        assert answer.status == 202
        assert proxy.connection_count == 0
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Token": "a\r\nX-Evil: 1"},
        {"X-Token": "a\x00"},
        {"X-Token": "ä"},
        {"X-Token": "a\x7f"},
        {"X Token": "a"},
        {"": "a"},
        {"Host": "other.example"},
        {"content-length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Accept-Encoding": "gzip"},
    ],
)
async def test_m5_headers_that_cannot_be_sent_fail_before_anything_is_sent(
    client, receiver, headers
):
    with pytest.raises(EgressProtocolFailed):
        await client.post(receiver.url("/ok"), headers=headers, body=BODY)
    assert receiver.connection_count == 0


async def test_a_client_works_only_within_its_context(receiver):
    client = make_client()
    with pytest.raises(RuntimeError, match="async with"):
        await post(client, receiver.url("/ok"))
    async with client:
        await post(client, receiver.url("/ok"))
    with pytest.raises(RuntimeError, match="async with"):
        await post(client, receiver.url("/ok"))


async def test_calls_beyond_the_limit_per_host_wait_for_a_connection(receiver):
    async with make_client(connections_per_host=1) as client, asyncio.TaskGroup() as group:
        calls = [group.create_task(post(client, receiver.url("/ok"))) for _ in range(5)]
    assert [call.result().status for call in calls] == [202] * 5
    assert receiver.connection_count == 1


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_f43_f66_a_redirect_is_an_answer_and_is_not_followed(client, receiver, status):
    async with EvilReceiver() as elsewhere:
        receiver.on("/moved", evil.redirect(status, elsewhere.url("/ok")))
        answer = await post(client, receiver.url("/moved"))
        assert answer.status == status
        assert answer.headers["location"] == elsewhere.url("/ok")
        assert elsewhere.connection_count == 0
    assert len(receiver.requests) == 1


# ---------------------------------------------------------------- slow receivers


async def test_f53_a_receiver_that_never_answers_ends_in_timeout(receiver):
    receiver.on("/hang", evil.hang())
    async with make_client(deadline_seconds=0.3) as client:
        failure = await failure_of(client, receiver.url("/hang"))
    assert (type(failure), failure.outcome) == (EgressTimeout, "timeout")


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_f53_a_receiver_that_never_reads_leaves_no_socket_behind(receiver):
    """A polite close would wait until all was taken, so the rest must be thrown away."""
    may_read, taken = asyncio.Event(), asyncio.get_running_loop().create_future()
    receiver.on_connect(evil.read_late(may_read, taken))
    body = bytes(30_000_000)
    async with make_client(deadline_seconds=0.3) as client:
        failure = await failure_of(client, receiver.url("/ok"), body)
        assert failure.outcome == "timeout"
        may_read.set()
        async with asyncio.timeout(5):
            assert len(await taken) < len(body)


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_f53_an_early_answer_with_the_request_unread_leaves_no_socket_behind(receiver):
    may_read, taken = asyncio.Event(), asyncio.get_running_loop().create_future()
    read_late = evil.read_late(may_read, taken)

    async def answer_unread(exchange):
        await exchange.send(evil.answer_bytes(413))
        await read_late(exchange)

    receiver.on_connect(answer_unread)
    body = bytes(30_000_000)
    async with make_client() as client:
        assert (await post(client, receiver.url("/ok"), body)).status == 413
        may_read.set()
        async with asyncio.timeout(5):
            assert len(await taken) < len(body)


async def test_f54_dripped_headers_end_in_timeout(receiver):
    receiver.on("/drip", evil.drip(evil.answer_bytes(202)))
    async with make_client(deadline_seconds=0.3) as client:
        assert (await failure_of(client, receiver.url("/drip"))).outcome == "timeout"


@pytest.mark.parametrize(
    ("deadline_seconds", "body_grace_seconds"),
    [(0.2, 60.0), (60.0, 0.2)],
    ids=["deadline", "grace"],
)
async def test_f54_the_status_decides_when_the_body_drips(
    receiver, deadline_seconds, body_grace_seconds
):
    head = evil.head_bytes(202, {"Content-Length": "100000"})
    receiver.on("/drip", evil.drip(b"x" * 10_000, at_once=head + b"begin", every_seconds=0.02))
    async with make_client(
        deadline_seconds=deadline_seconds, body_grace_seconds=body_grace_seconds
    ) as client:
        answer = await post(client, receiver.url("/drip"))
        assert (answer.status, answer.is_body_whole) == (202, False)
        assert answer.body.startswith(b"begin")
        assert (await post(client, receiver.url("/ok"))).is_body_whole
    assert receiver.connection_count == 2


async def test_a_name_server_that_never_answers_ends_in_timeout():
    async with make_client(deadline_seconds=0.1, resolver=SilentResolver()) as client:
        failure = await failure_of(client, f"http://{NAME}/")
    assert failure.outcome == "timeout"
    assert "not resolved" in failure.description


async def test_cancelling_is_not_a_failure_and_drops_the_connection(client, receiver):
    left = asyncio.Event()

    async def note_leaving(exchange):
        await exchange.hang()
        left.set()

    receiver.on("/hang", note_leaving)
    call = asyncio.create_task(post(client, receiver.url("/hang")))
    await receiver.wait_for_requests(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        await left.wait()


async def test_cancelling_during_the_body_is_not_a_failure_either(receiver):
    receiver.on("/slow", evil.raw_then_hang(evil.head_bytes(202, {"Content-Length": "9"})))
    async with make_client(body_grace_seconds=60.0, deadline_seconds=60.0) as client:
        call = asyncio.create_task(post(client, receiver.url("/slow")))
        await receiver.wait_for_requests(1)
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("length", [None, 10**12])
async def test_f55_an_infinite_body_is_cut_off(client, receiver, length):
    receiver.on("/endless", evil.infinite_body(400, length))
    answer = await post(client, receiver.url("/endless"))
    assert (answer.status, answer.is_body_whole) == (400, False)
    assert answer.body == b"x" * 65_536
    assert (await post(client, receiver.url("/ok"))).status == 202
    assert receiver.connection_count == 2


@pytest.mark.parametrize(("size", "is_whole"), [(999, True), (1000, True), (1001, False)])
async def test_f55_a_body_may_have_exactly_the_permitted_size(receiver, size, is_whole):
    receiver.on("/sized", evil.answer(400, body=b"y" * size))
    async with make_client(max_body_bytes=1000) as client:
        answer = await post(client, receiver.url("/sized"))
        assert (len(answer.body), answer.is_body_whole) == (min(size, 1000), is_whole)
        await post(client, receiver.url("/ok"))
    if is_whole:
        assert receiver.connection_count == 1


async def test_f55_a_gzip_bomb_is_not_inflated(client, receiver):
    receiver.on("/bomb", evil.gzip_bomb())
    answer = await post(client, receiver.url("/bomb"))
    assert answer.status == 202
    assert answer.body.startswith(b"\x1f\x8b")
    assert len(answer.body) <= 65_536
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["gzip", "br", "nonsense", "identity, gzip"])
async def test_f55_a_wrong_content_encoding_does_not_matter(client, receiver, encoding):
    receiver.on("/lie", evil.answer(202, {"Content-Encoding": encoding}, b"plain"))
    answer = await post(client, receiver.url("/lie"))
    assert (answer.status, answer.body, answer.is_body_whole) == (202, b"plain", True)


CHUNKED_HEAD = evil.head_bytes(202, {"Transfer-Encoding": "chunked"})
SIZED_HEAD = evil.head_bytes(202, {"Content-Length": "9"})


@pytest.mark.parametrize(
    "behaviour",
    [
        evil.raw(CHUNKED_HEAD, b"ZZ\r\n", pause_seconds=0.05),
        evil.raw(CHUNKED_HEAD, b"3\r\nabc\r\n-1\r\n", pause_seconds=0.05),
        evil.raw_then_close(CHUNKED_HEAD + b"3\r\nab"),
        evil.raw_then_close(SIZED_HEAD + b"ab"),
        evil.raw_then_half_close(SIZED_HEAD + b"ab"),
        evil.reset(SIZED_HEAD),
        evil.reset(SIZED_HEAD + b"ab"),
        evil.raw_then_hang(SIZED_HEAD),
    ],
    ids=["bad-chunk", "bad-size", "chunk-eof", "eof", "half-close", "rst", "rst-late", "silence"],
)
async def test_f54_f56_the_status_decides_when_the_body_breaks(client, receiver, behaviour):
    receiver.on("/broken", behaviour)
    answer = await post(client, receiver.url("/broken"))
    assert (answer.status, answer.is_body_whole) == (202, False)
    assert (await post(client, receiver.url("/ok"))).is_body_whole
    assert receiver.connection_count == 2


async def test_a_body_that_ends_with_the_connection_is_whole(client, receiver):
    receiver.on("/old", evil.raw_then_close(b"HTTP/1.0 400 Bad\r\n\r\nwords"))
    answer = await post(client, receiver.url("/old"))
    assert (answer.status, answer.body, answer.is_body_whole) == (400, b"words", True)


# ---------------------------------------------------------------- no HTTP


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (evil.reset(), "connection_error"),
        (evil.reset(b"HTTP/1.1 202 Acc"), "connection_error"),
        (evil.reset(b"HTTP/1.1 202 Accepted\r\nA: b\r\n"), "connection_error"),
        (evil.raw_then_close(), "connection_error"),
        (evil.raw_then_close(b"HTTP/1.1 202 Accepted\r\nA: b\r\n"), "connection_error"),
        (evil.raw_then_half_close(), "connection_error"),
        (evil.raw_then_hang(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol_error"),
        (evil.raw_then_close(b"<html>HTTP/0.9 has no header</html>\r\n"), "protocol_error"),
        (evil.raw_then_hang(b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n"), "protocol_error"),
        (evil.raw_then_hang(b"HTTP/1.1 202 Accepted\r\nno colon\r\n\r\n"), "protocol_error"),
        (evil.raw_then_hang(b"HTTP/1.1 2x2 Accepted\r\n\r\n"), "protocol_error"),
        (evil.raw_then_hang(b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"), "protocol_error"),
        (
            evil.raw_then_hang(
                b"HTTP/1.1 202 A\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
            ),
            "protocol_error",
        ),
        (evil.huge_header(), "protocol_error"),
        (evil.many_headers(), "protocol_error"),
        (evil.endless(b"x" * 65_536, at_once=b"HTTP/1.1 202 A\r\nX: "), "protocol_error"),
        (evil.endless(b"X: y\r\n" * 1000, at_once=b"HTTP/1.1 202 A\r\n"), "protocol_error"),
        (evil.interim_answers(1_000_000), "protocol_error"),
        (evil.endless(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000), "protocol_error"),
        (
            evil.raw_then_hang(
                b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            ),
            "protocol_error",
        ),
    ],
    ids=[
        "rst",
        "rst-in-status",
        "rst-in-headers",
        "fin",
        "fin-in-headers",
        "half-close",
        "ssh",
        "http-0.9",
        "tls-alert",
        "no-colon",
        "bad-status",
        "status-099",
        "two-lengths",
        "1-mb-header",
        "10000-headers",
        "endless-header",
        "endless-headers",
        "million-interim",
        "endless-interim",
        "upgrade",
    ],
)
async def test_f56_what_is_no_answer_fails_and_the_next_call_is_unaffected(
    client, receiver, behaviour, outcome
):
    receiver.on("/odd", behaviour)
    failure = await failure_of(client, receiver.url("/odd"))
    assert failure.outcome == outcome
    assert (await post(client, receiver.url("/ok"))).status == 202
    assert receiver.connection_count == 2
    assert len(receiver.requests) == 2


async def test_f56_some_interim_answers_are_skipped(client, receiver):
    receiver.on("/hints", evil.interim_answers(8))
    assert (await post(client, receiver.url("/hints"))).status == 202
    assert (await post(client, receiver.url("/ok"))).status == 202
    assert receiver.connection_count == 1


@pytest.mark.parametrize("behaviour", [evil.reset(), evil.raw_then_close()], ids=["rst", "fin"])
async def test_f56_a_connection_that_is_lost_as_soon_as_it_is_made_is_a_connection_error(
    client, receiver, behaviour
):
    receiver.on_connect(behaviour)
    for _ in range(20):
        assert (await failure_of(client, receiver.url("/ok"))).outcome == "connection_error"
    assert receiver.requests == []


async def test_f56_a_server_that_speaks_first_is_no_receiver(client, receiver):
    receiver.on_connect(evil.raw_then_hang(b"220 mail.example ESMTP\r\n"))
    assert (await failure_of(client, receiver.url("/ok"))).outcome == "protocol_error"


SECOND = evil.answer_bytes(299)


@pytest.mark.parametrize(
    "behaviour",
    [
        evil.two_answers(202, 299),
        evil.answer_then_more(SECOND),
        evil.answer_then_more(SECOND[:10]),
        evil.answer_then_more(SECOND * 100_000),
        evil.raw(evil.answer_bytes(202) + SECOND * 1000),
        evil.raw(evil.answer_bytes(202, body=b"abc") + SECOND),
    ],
    ids=["together", "later", "later-in-part", "later-flood", "flood", "behind-a-body"],
)
async def test_f56_a_second_answer_is_never_taken_for_the_answer_to_the_next_request(
    client, receiver, behaviour
):
    receiver.on("/two", behaviour)
    receiver.on("/next", evil.answer(418))
    assert (await post(client, receiver.url("/two"))).status == 202
    await asyncio.sleep(0.15)
    assert (await post(client, receiver.url("/next"))).status == 418
    assert receiver.connection_count == 2


# ---------------------------------------------------------------- keep-alive


@pytest.mark.parametrize("with_reset", [False, True])
async def test_m17_a_waiting_connection_that_was_closed_costs_one_silent_repeat(
    client, receiver, with_reset
):
    receiver.on("/short", evil.close_on_reuse(with_reset=with_reset))
    assert (await post(client, receiver.url("/short"))).status == 202
    assert (await post(client, receiver.url("/short"))).status == 202
    assert receiver.bodies == [BODY] * 3
    assert receiver.connection_count == 2


async def test_m17_a_new_connection_that_is_closed_unanswered_is_a_failure(client, receiver):
    receiver.on("/closed", evil.raw_then_close())
    assert (await failure_of(client, receiver.url("/closed"))).outcome == "connection_error"
    assert len(receiver.requests) == 1


async def test_m17_nothing_is_repeated_once_a_byte_of_the_answer_came(client, receiver):
    receiver.on("/cut", evil.answer(202), evil.raw_then_close(b"H"), evil.answer(202))
    await post(client, receiver.url("/cut"))
    assert (await failure_of(client, receiver.url("/cut"))).outcome == "connection_error"
    assert len(receiver.requests) == 2


async def test_m17_there_is_one_repeat_and_no_second_one(client, receiver):
    receiver.on("/cut", evil.answer(202), evil.raw_then_close(), evil.raw_then_close())
    await post(client, receiver.url("/cut"))
    assert (await failure_of(client, receiver.url("/cut"))).outcome == "connection_error"
    assert len(receiver.requests) == 3


async def test_m17_the_repeat_passes_over_other_waiting_connections(client, receiver):
    both_here = asyncio.Barrier(2)

    async def wait_for_the_other(exchange):
        await both_here.wait()
        await exchange.send(evil.answer_bytes(202))

    receiver.on("/pair", wait_for_the_other)
    receiver.on("/short", evil.close_on_reuse())
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(post(client, receiver.url("/pair")))
    assert receiver.connection_count == 2
    assert (await post(client, receiver.url("/short"))).status == 202
    assert receiver.connection_count == 3
    assert len(receiver.requests) == 4


async def test_m17_a_timeout_on_a_waiting_connection_is_not_repeated(receiver):
    receiver.on("/hang", evil.answer(202), evil.hang())
    async with make_client(deadline_seconds=0.3) as client:
        await post(client, receiver.url("/hang"))
        assert (await failure_of(client, receiver.url("/hang"))).outcome == "timeout"
    assert len(receiver.requests) == 2


# ---------------------------------------------------------------- addresses


async def test_f61_an_address_that_the_policy_forbids_is_not_called(receiver):
    async with make_client(EgressPolicy(allow_http=True)) as client:
        failure = await failure_of(client, receiver.url("/ok"))
    assert (type(failure), failure.outcome) == (EgressBlocked, "blocked_address")
    assert receiver.connection_count == 0


async def test_f61_a_name_in_the_hosts_file_is_judged_by_its_address():
    async with EvilReceiver() as receiver:
        only_ten = EgressPolicy(allow_http=True, allowed_networks=parse_networks("10.0.0.0/8"))
        async with make_client(only_ten) as client:
            url = receiver.url("/ok", host="ip6-loopback")
            failure = await failure_of(client, url)
        assert failure.outcome in ("blocked_address", "connection_error")
        assert receiver.connection_count == 0


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fe80::1%lo",
        "0.0.0.0",
    ],
)
async def test_f64_a_public_name_with_a_private_address_is_blocked_at_the_socket(receiver, address):
    # Any network that is allowed lets the port pass at write time, so that only the socket guards.
    policy = EgressPolicy(allow_http=True, allowed_networks=parse_networks("192.0.2.0/24"))
    async with make_client(policy, resolver=ScriptedResolver([address])) as client:
        failure = await failure_of(client, receiver.url("/ok", host=NAME))
    assert failure.outcome == "blocked_address"
    assert address not in failure.description
    assert receiver.connection_count == 0


async def test_f64_of_several_addresses_only_permitted_ones_are_dialled():
    async with (
        EvilReceiver() as permitted,
        EvilReceiver(host="127.0.0.2", port=permitted.port) as forbidden,
        make_client(resolver=ScriptedResolver(["127.0.0.2", "::1", "127.0.0.1"])) as client,
    ):
        assert (await post(client, permitted.url("/", host=NAME))).status == 404
        assert permitted.connection_count == 1
        assert forbidden.connection_count == 0


async def test_f64_a_permitted_address_that_does_not_answer_is_no_block():
    async with EvilReceiver() as gone:
        url = gone.url("/", host=NAME)
    resolver = ScriptedResolver(["127.0.0.1", "127.0.0.2"])
    async with make_client(resolver=resolver) as client:
        failure = await failure_of(client, url)
    assert (type(failure), failure.outcome) == (EgressConnectionFailed, "connection_error")
    assert "127.0.0.1" not in failure.description


async def test_f65_dns_rebinding_dials_the_address_that_was_checked():
    async with (
        EvilReceiver() as first,
        EvilReceiver(host="127.0.0.2", port=first.port) as second,
    ):
        first.on("/ok", evil.raw_then_close(evil.answer_bytes(202)))
        resolver = ScriptedResolver(["127.0.0.1"], ["127.0.0.2"])
        url = first.url("/ok", host=NAME)
        async with make_client(resolver=resolver) as client:
            assert (await post(client, url)).status == 202
            assert (await post(client, url)).status == 202
        async with make_client(resolver=resolver) as client:
            assert (await failure_of(client, url)).outcome == "blocked_address"
        assert len(resolver.questions) == 2
        assert second.connection_count == 0


async def test_f67_the_port_is_judged_again_when_a_name_turns_out_to_be_public():
    async with make_client(resolver=ScriptedResolver(["8.8.8.8"])) as client:
        failure = await failure_of(client, f"http://{NAME}:22/")
    assert failure.outcome == "blocked_address"
    assert "port" in failure.description


async def test_f68_an_http_url_from_times_when_that_was_permitted_is_not_called(receiver):
    policy = EgressPolicy(allowed_networks=DEV.allowed_networks)
    async with make_client(policy) as client:
        failure = await failure_of(client, receiver.url("/ok"))
    assert failure.outcome == "blocked_address"
    assert "SSF_ALLOW_HTTP" in failure.description
    assert receiver.connection_count == 0


async def test_an_unknown_name_is_a_connection_error():
    async with make_client(resolver=BrokenResolver()) as client:
        failure = await failure_of(client, f"http://{NAME}/")
    assert failure.outcome == "connection_error"
    assert "name" in failure.description


async def test_names_are_looked_up_by_the_system_when_no_resolver_is_given(receiver):
    receiver.on("/ok", evil.answer(202))
    async with make_client() as client:
        assert (await post(client, receiver.url("/ok", host="localhost"))).status == 202


async def test_a_name_with_very_many_addresses_is_dialled_a_few_times_only():
    """Each dialled address fails at TLS; aiohttp then starts over with one address less."""
    policy = EgressPolicy(allowed_networks=parse_networks("127.0.0.0/8"))
    resolver = ScriptedResolver(["::1"] * 1000 + [f"127.0.1.{last}" for last in range(1, 200)])
    async with (
        EvilReceiver(host="0.0.0.0") as crowd,
        make_client(policy, resolver=resolver) as client,
    ):
        crowd.on_connect(evil.raw_then_close(b"no TLS here\r\n"))
        failure = await failure_of(client, f"https://{NAME}:{crowd.port}/")
        assert failure.outcome == "tls_error"
        assert crowd.connection_count == 4


async def test_calls_at_the_same_time_are_judged_apart(receiver):
    receiver.on("/reset", evil.reset())
    resolver = ScriptedResolver(["127.0.0.2"])
    async with make_client(resolver=resolver) as client:
        urls = [
            receiver.url("/ok"),
            receiver.url("/ok", host=NAME),
            receiver.url("/reset"),
        ] * 5

        async def outcome_of(url: str) -> str:
            try:
                return str((await post(client, url)).status)
            except EgressFailed as failure:
                return failure.outcome

        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(outcome_of(url)) for url in urls]
    expected = ["202", "blocked_address", "connection_error"] * 5
    assert [call.result() for call in calls] == expected


# ---------------------------------------------------------------- TLS


def make_certificate(
    folder: Path, *, name: str = NAME, valid_for: dt.timedelta = dt.timedelta(days=1)
) -> Path:
    """Write a self-signed certificate and its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = dt.datetime.now(dt.UTC) + valid_for
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=10))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def make_tls_client(trusted: Path | None) -> EgressClient:
    context = None if trusted is None else ssl.create_default_context(cafile=str(trusted))
    return make_client(ssl_context=context, resolver=ScriptedResolver(["127.0.0.1"]))


async def test_f58_a_trusted_certificate_for_the_right_name_is_accepted(tmp_path):
    certificate = make_certificate(tmp_path)
    async with (
        EvilReceiver(ssl_context=server_context(certificate)) as receiver,
        make_tls_client(certificate) as client,
    ):
        receiver.on("/ok", evil.answer(202))
        for host in (NAME, NAME, NAME.upper(), f"{NAME}."):
            assert (await post(client, receiver.url("/ok", host=host))).status == 202
        assert receiver.connection_count == 3


@pytest.mark.parametrize(
    ("name", "valid_days", "is_trusted", "words"),
    [
        (NAME, 1, False, "self"),
        (NAME, -1, True, "expired"),
        ("other.example", 1, True, "ostname mismatch"),
    ],
    ids=["self-signed", "expired", "wrong-host"],
)
async def test_f58_a_bad_certificate_is_a_tls_error_and_nothing_is_sent(
    tmp_path, name, valid_days, is_trusted, words
):
    certificate = make_certificate(tmp_path, name=name, valid_for=dt.timedelta(days=valid_days))
    async with (
        EvilReceiver(ssl_context=server_context(certificate)) as receiver,
        make_tls_client(certificate if is_trusted else None) as client,
    ):
        failure = await failure_of(client, receiver.url("/ok", host=NAME))
        assert (type(failure), failure.outcome) == (EgressTlsFailed, "tls_error")
        assert words in failure.description
        assert receiver.requests == []


SERVER_HELLO_TLS_1_0 = (
    bytes.fromhex("160301002a020000260301") + bytes(32) + bytes.fromhex("00002f00")
)
ALERT_HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")


@pytest.mark.parametrize(
    ("server_bytes", "words"),
    [(SERVER_HELLO_TLS_1_0, "unsupported protocol"), (ALERT_HANDSHAKE_FAILURE, "alert")],
    ids=["tls-1.0", "alert"],
)
async def test_f56_f58_tls_1_0_and_alerts_are_tls_errors(receiver, server_bytes, words):
    async def say_hello(exchange):
        await exchange.reader.read(10_000)
        await exchange.send(server_bytes)
        await exchange.hang()

    receiver.on_connect(say_hello)
    async with make_tls_client(None) as client:
        failure = await failure_of(client, f"https://{NAME}:{receiver.port}/ok")
    assert failure.outcome == "tls_error"
    assert words in failure.description


def test_f56_an_alert_after_the_handshake_is_a_tls_error_though_it_looks_like_a_lost_link():
    lost = ClientOSError(1, "lost")
    lost.__cause__ = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] at 10.0.0.1")
    failure = explain_failure(lost)
    assert isinstance(failure, EgressTlsFailed)
    assert "10.0.0.1" not in failure.description


async def test_f58_a_receiver_without_tls_is_a_tls_error_and_sees_no_request_in_clear(receiver):
    seen: list[bytes] = []

    async def look(exchange):
        seen.append(await exchange.reader.read(10_000))
        await exchange.send(evil.answer_bytes(202))
        exchange.close()

    receiver.on_connect(look)
    async with make_tls_client(None) as client:
        failure = await failure_of(client, f"https://{NAME}:{receiver.port}/ok")
    assert failure.outcome == "tls_error"
    assert seen
    assert all(BODY not in data and b"s3cret" not in data for data in seen)


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "behaviour",
    [
        evil.reset(),
        evil.hang(),
        evil.raw_then_hang(b"secret-answer\r\n\r\n"),
        evil.raw_then_close(),
    ],
    ids=["rst", "hang", "no-http", "fin"],
)
async def test_descriptions_hold_no_secret(receiver, behaviour):
    receiver.on("/secret-path", behaviour)
    async with make_client(deadline_seconds=0.3) as client:
        failure = await failure_of(client, receiver.url("/secret-path?key=secret-query"))
    for secret in ("s3cret", "secret-path", "secret-query", "secret-answer", BODY.decode()):
        assert secret not in failure.description
        assert secret not in str(failure)

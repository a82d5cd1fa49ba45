import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.errors import InvalidJwks, KeysUnavailable, UnknownKey
from keys.keyring import Keyring, generate_signing_key
from keys.published_jwks import published_jwks
from keys.remote_jwks import RemoteJwks, StaticJwks
from tests.keys.tokens import raw_jwk

JWK = raw_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
URL = "https://issuer.example/jwks.json"


def document(*kids: str) -> bytes:
    return json.dumps({"keys": [{**JWK, "kid": kid} for kid in kids]}).encode()


class Issuer:
    """An issuer whose clock, answer and slowness the test decides."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.now_seconds = 1000.0
        self.calls: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.called = asyncio.Event()

    async def fetch(self, url: str) -> bytes:
        self.calls.append(url)
        self.called.set()
        await self.answers.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def jwks(self, **options: float) -> RemoteJwks:
        return RemoteJwks(URL, fetch=self.fetch, monotonic=lambda: self.now_seconds, **options)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_is_fetched_once_and_then_found_in_memory() -> None:
    issuer = Issuer(document("a", "b"))
    jwks = issuer.jwks()
    assert issuer.calls == []
    first = await jwks.find_key("a")
    assert await jwks.find_key("a") is first
    assert (await jwks.find_key("b")).kid == "b"
    assert issuer.calls == [URL]


async def test_fifty_callers_share_one_fetch() -> None:
    issuer = Issuer(document("a"))
    issuer.answers.clear()
    jwks = issuer.jwks()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(jwks.find_key("a")) for _ in range(50)]
        await settle()
        issuer.answers.set()
    assert {task.result().kid for task in tasks} == {"a"}
    assert len(issuer.calls) == 1


async def test_fifty_callers_share_one_failure() -> None:
    issuer = Issuer(KeysUnavailable("status 503"))
    issuer.answers.clear()
    jwks = issuer.jwks()

    async def attempt() -> None:
        with pytest.raises(KeysUnavailable):
            await jwks.find_key("a")

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(attempt())
        await settle()
        issuer.answers.set()
    assert len(issuer.calls) == 1


async def test_an_unknown_kid_is_looked_for_once_and_not_again_within_the_cooldown() -> None:
    issuer = Issuer(document("a"))
    jwks = issuer.jwks()
    await jwks.find_key("a")
    issuer.now_seconds += 29.9
    for kid in ("x", "y", "z"):
        with pytest.raises(UnknownKey):
            await jwks.find_key(kid)
    assert len(issuer.calls) == 1
    issuer.now_seconds += 0.1
    issuer.answer = document("a", "x")
    assert (await jwks.find_key("x")).kid == "x"
    with pytest.raises(UnknownKey):
        await jwks.find_key("y")
    assert len(issuer.calls) == 2


async def test_the_cooldown_holds_after_a_failure_too() -> None:
    issuer = Issuer(KeysUnavailable("status 503"))
    jwks = issuer.jwks(cooldown_seconds=10)
    for _ in range(3):
        with pytest.raises(KeysUnavailable, match="503") as caught:
            await jwks.find_key("a")
        assert caught.value.temporary
    assert len(issuer.calls) == 1
    issuer.now_seconds += 10
    issuer.answer = document("a")
    assert jwks.last_failure is not None
    assert (await jwks.find_key("a")).kid == "a"
    assert len(issuer.calls) == 2
    assert jwks.last_failure is None


async def test_a_stale_set_is_fetched_again_and_a_withdrawn_key_is_gone() -> None:
    issuer = Issuer(document("a"))
    jwks = issuer.jwks()
    await jwks.find_key("a")
    issuer.answer = document("b")
    issuer.now_seconds += 599
    await jwks.find_key("a")
    assert len(issuer.calls) == 1
    issuer.now_seconds += 1
    with pytest.raises(UnknownKey):
        await jwks.find_key("a")
    assert (await jwks.find_key("b")).kid == "b"
    assert len(issuer.calls) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        KeysUnavailable("status 500"),
        OSError("no route"),
        TimeoutError(),
        ZeroDivisionError("a bug of the caller's fetch"),
        b"",
        b"<html>we are down</html>",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
async def test_the_last_good_set_outlives_any_trouble(trouble: bytes | Exception) -> None:
    issuer = Issuer(document("a"))
    jwks = issuer.jwks()
    await jwks.find_key("a")
    issuer.answer = trouble
    for round_number in range(1, 4):
        issuer.now_seconds += 10_000
        for _ in range(3):
            assert (await jwks.find_key("a")).kid == "a"
        assert len(issuer.calls) == 1 + round_number
    assert jwks.last_failure is not None
    issuer.now_seconds += 30
    issuer.answer = document("a", "b")
    assert (await jwks.find_key("b")).kid == "b"


@pytest.mark.parametrize("nothing", [OSError("down"), b'{"keys":[]}', b"{}"], ids=range(3))
async def test_with_nothing_in_hand_trouble_is_temporary(nothing: bytes | Exception) -> None:
    with pytest.raises(KeysUnavailable) as caught:
        await Issuer(nothing).jwks().find_key("a")
    assert caught.value.temporary


async def test_an_unknown_kid_during_an_outage_is_temporary_too() -> None:
    """The issuer may have rotated: to say "unknown" would make it drop a good event."""
    issuer = Issuer(document("a"))
    jwks = issuer.jwks()
    await jwks.find_key("a")
    issuer.answer = OSError("down")
    issuer.now_seconds += 60
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await jwks.find_key("new")
    assert len(issuer.calls) == 2


async def test_a_caller_that_is_cancelled_does_not_take_the_others_along() -> None:
    issuer = Issuer(document("a"))
    issuer.answers.clear()
    jwks = issuer.jwks()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(jwks.find_key("a"))
        await issuer.called.wait()
        others = [group.create_task(jwks.find_key("a")) for _ in range(10)]
        await settle()
        issuer.called.clear()
        first.cancel()
        await issuer.called.wait()
        issuer.answers.set()
    assert first.cancelled()
    assert {task.result().kid for task in others} == {"a"}
    assert len(issuer.calls) == 2


async def test_a_waiter_that_is_cancelled_does_not_disturb_the_fetch() -> None:
    issuer = Issuer(document("a"))
    issuer.answers.clear()
    jwks = issuer.jwks()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(jwks.find_key("a"))
        await issuer.called.wait()
        second = group.create_task(jwks.find_key("a"))
        third = group.create_task(jwks.find_key("a"))
        await settle()
        second.cancel()
        await settle()
        issuer.answers.set()
    assert second.cancelled()
    assert first.result() is third.result()
    assert len(issuer.calls) == 1


async def test_callers_who_always_give_up_do_not_call_the_issuer_without_a_pause() -> None:
    issuer = Issuer(document("a"))
    issuer.answers.clear()
    jwks = issuer.jwks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await jwks.find_key("a")
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await jwks.find_key("a")
    assert len(issuer.calls) == 1
    issuer.answers.set()
    issuer.now_seconds += 30
    assert (await jwks.find_key("a")).kid == "a"


async def test_who_holds_a_stale_key_does_not_wait_for_somebody_elses_fetch() -> None:
    issuer = Issuer(document("a"))
    jwks = issuer.jwks()
    await jwks.find_key("a")
    issuer.now_seconds += 600
    issuer.answers.clear()
    issuer.called.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(jwks.find_key("a"))
        await issuer.called.wait()
        async with asyncio.timeout(1):
            assert (await jwks.find_key("a")).kid == "a"
        issuer.answers.set()
    assert len(issuer.calls) == 2


@pytest.mark.parametrize("form", [json.dumps, lambda value: value], ids=["text", "parsed"])
async def test_a_static_set_answers_alike(form: Callable[[Any], Any]) -> None:
    ring = Keyring([generate_signing_key("ES256", created_at=0)])
    given = form(published_jwks(ring))
    jwks = StaticJwks(given.encode() if isinstance(given, str) else given)
    kid = ring.signing_key("ES256").kid
    assert (await jwks.find_key(kid)).alg == "ES256"
    with pytest.raises(UnknownKey):
        await jwks.find_key("x")


@pytest.mark.parametrize(
    "given", [b"", b"{}", b'{"keys":[]}', {}, {"keys": [{"kty": "oct"}]}], ids=range(5)
)
def test_a_static_set_without_a_usable_key_is_a_mistake(given: Any) -> None:
    with pytest.raises(InvalidJwks):
        StaticJwks(given)

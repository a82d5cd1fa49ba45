"""Which functions see which events, and what becomes of the SET when one raises."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from receiver import Handlers, SetRejected, SetVerifier, VerifiedSet
from ssf.protocol.caep_events import CredentialChange, SessionRevoked
from ssf.protocol.events import UnknownEvent
from ssf.protocol.ssf_events import Verification
from tests.receiver.sets import (
    CREDENTIAL_CHANGE,
    CUSTOM,
    EMAIL,
    NOW,
    SESSION_REVOKED,
    SUBJECT,
    VERIFICATION,
    Draft,
    verifier_for,
)

Make = Callable[..., Awaitable[VerifiedSet]]
CHANGE = {"credential_type": "password", "change_type": "update"}


@pytest.fixture
def verifier(issuer_key) -> SetVerifier:
    return verifier_for(issuer_key)


@pytest.fixture
def make(issuer_key: rsa.RSAPrivateKey, verifier: SetVerifier) -> Make:
    """A verified SET with these claims."""

    async def verified(**claims: Any) -> VerifiedSet:
        return await verifier.verify(Draft().claiming(**claims).compact(issuer_key))

    return verified


@pytest.mark.parametrize("name", ["session-revoked", SESSION_REVOKED])
async def test_a_handler_gets_the_typed_event_of_its_type_and_the_set(name: str, make) -> None:
    handlers, seen = Handlers(), []

    @handlers.on(name)
    async def handle(event: SessionRevoked, verified: VerifiedSet) -> None:
        seen.append((event, verified))

    @handlers.on("credential-change")
    async def never(event: CredentialChange, verified: VerifiedSet) -> None:
        raise AssertionError

    verified = await make()
    await handlers.dispatch(verified)
    assert seen == [(SessionRevoked(event_timestamp=NOW), verified)]


async def test_a_handler_of_a_type_that_we_do_not_know_is_found_by_its_uri(make) -> None:
    handlers, seen = Handlers(), []
    handlers.on(CUSTOM)(lambda event, _verified: seen.append(event))
    await handlers.dispatch(await make(events={CUSTOM: {"a": 1}}))
    assert seen == [UnknownEvent(uri=CUSTOM, payload={"a": 1})]


@pytest.mark.parametrize("name", ["sesion-revoked", "", "not a uri"])
def test_a_misspelt_event_type_is_refused_when_the_handler_is_added(name: str) -> None:
    with pytest.raises(ValueError, match="event_type"):
        Handlers().on(name)


async def test_handlers_run_one_after_the_other_as_added_and_those_of_any_last(make) -> None:
    handlers, order = Handlers(), []

    @handlers.on_any
    async def anything(event: Any, _: VerifiedSet) -> None:
        order.append(f"any {event.event_type.name}")

    @handlers.on("credential-change")
    async def first(_event: CredentialChange, _: VerifiedSet) -> None:
        await asyncio.sleep(0)
        order.append("first")

    @handlers.on("credential-change")
    def second(_event: CredentialChange, _: VerifiedSet) -> None:
        order.append("second")

    await handlers.dispatch(await make(events={CUSTOM: {}, CREDENTIAL_CHANGE: CHANGE}))
    assert order == [f"any {CUSTOM}", "first", "second", "any credential-change"]


async def test_a_sync_handler_may_block_without_blocking_others(make) -> None:
    handlers, released, threads = Handlers(), threading.Event(), []

    @handlers.on("session-revoked")
    def block(_event: SessionRevoked, _: VerifiedSet) -> None:
        assert released.wait(timeout=30)
        threads.append(threading.current_thread())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(handlers.dispatch(await make()))
        await asyncio.sleep(0)
        assert not task.done()
        released.set()
    assert threads[0] is not threading.current_thread()


async def test_a_callable_object_whose_call_is_async_is_awaited(make) -> None:
    seen = []

    class Handler:
        async def __call__(self, event: Any, _verified: VerifiedSet) -> None:
            await asyncio.sleep(0)
            seen.append(event)

    handlers = Handlers()
    handlers.on_any(Handler())
    await handlers.dispatch(await make())
    assert len(seen) == 1


@pytest.mark.parametrize("error", [ValueError, StopIteration, TimeoutError])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_a_handler_raises_comes_out_and_the_next_does_not_run(
    kind: str, error: type[Exception], make
) -> None:
    """Also StopIteration, on which a thread's future would hang in Python 3.11."""
    handlers = Handlers()

    def sync(_event: Any, _verified: VerifiedSet) -> None:
        raise error

    async def asynchronous(_event: Any, _verified: VerifiedSet) -> None:
        raise error

    @handlers.on_any
    def never(_event: Any, _verified: VerifiedSet) -> None:
        raise AssertionError

    handlers.on("session-revoked")(sync if kind == "sync" else asynchronous)
    with pytest.raises(RuntimeError if error is StopIteration else error):
        await handlers.dispatch(await make())


async def test_an_event_without_handler_is_taken_and_logged_without_its_subject(
    make, caplog
) -> None:
    caplog.set_level(logging.DEBUG)
    await Handlers().dispatch(await make(events={CUSTOM: {"email": EMAIL}}))
    assert [record.action for record in caplog.records] == ["event_without_handler"]
    assert CUSTOM in caplog.text
    assert EMAIL not in caplog.text


# ------------------------------------------------------------------ verification


def verification(**payload: Any) -> dict[str, Any]:
    return {
        "events": {VERIFICATION: payload},
        "sub_id": {"format": "opaque", "id": "stream-1"},
    }


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_state_that_was_not_sent_is_refused_and_no_other_handler_sees_it(
    kind: str, make
) -> None:
    handlers = Handlers()

    def sync(event: Verification, _verified: VerifiedSet) -> bool:
        return event.state == "sent"

    async def asynchronous(event: Verification, _verified: VerifiedSet) -> bool:
        return event.state == "sent"

    seen: list[str | None] = []
    handlers.on_verification(sync if kind == "sync" else asynchronous)
    handlers.on("verification")(lambda event, _verified: seen.append(event.state))
    await handlers.dispatch(await make(**verification(state="sent")))
    for state in ("other", "", "SENT"):
        with pytest.raises(SetRejected) as caught:
            await handlers.dispatch(await make(**verification(state=state)))
        assert caught.value.err == "invalid_state"
        assert "sent" not in caught.value.description
    assert seen == ["sent"]


async def test_a_verification_without_state_is_accepted_unasked(make) -> None:
    """The transmitter started it on its own."""
    handlers = Handlers()
    handlers.on_verification(lambda _event, _verified: False)
    await handlers.dispatch(await make(**verification()))


async def test_a_verification_is_accepted_when_nobody_checks_it(make, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    await Handlers().dispatch(await make(**verification(state="x")))
    assert not caplog.records


def test_only_one_function_can_check_the_state() -> None:
    handlers = Handlers()
    handlers.on_verification(lambda _event, _verified: True)
    with pytest.raises(ValueError, match="already"):
        handlers.on_verification(lambda _event, _verified: True)


# ------------------------------------------------------------------ critical subject members


async def test_an_event_whose_subject_has_a_critical_member_we_cannot_process_is_discarded(
    make, caplog
) -> None:
    handlers, seen = Handlers(unprocessable_critical_members={"tenant"}), []
    handlers.on_any(lambda event, _verified: seen.append(event))
    user = {"format": "complex", "user": SUBJECT}
    await handlers.dispatch(await make(sub_id=user | {"tenant": {"format": "opaque", "id": "t"}}))
    assert seen == []
    assert [record.action for record in caplog.records] == ["set_discarded"]
    await handlers.dispatch(await make(sub_id=user | {"device": {"format": "opaque", "id": "d"}}))
    assert len(seen) == 1

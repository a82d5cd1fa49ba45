"""What every `receiver.ReplayGuard` must do, whatever it remembers with.

Each check gets a fresh guard whose claims wait for each other for some seconds at least.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from receiver import ReplayGuard

ISS = "https://issuer.example"

Check = Callable[[ReplayGuard], Awaitable[None]]


class HandlerFailed(Exception):
    """What a handler raises in these checks."""


async def claimed(guard: ReplayGuard, iss: str, jti: str) -> bool:
    """Claim, do nothing, leave normally."""
    async with guard.claim(iss, jti) as is_new:
        return is_new


async def fail(
    guard: ReplayGuard,
    *,
    expect_new: bool = True,
    inside: asyncio.Event | None = None,
    may_fail: asyncio.Event | None = None,
) -> None:
    """Claim `jti-1`, say so, wait until it is allowed, and leave by an exception."""
    async with guard.claim(ISS, "jti-1") as is_new:
        assert is_new is expect_new
        if inside is not None and may_fail is not None:
            inside.set()
            await may_fail.wait()
        raise HandlerFailed


async def a_set_is_new_once(guard: ReplayGuard) -> None:
    assert await claimed(guard, ISS, "jti-1") is True
    assert await claimed(guard, ISS, "jti-1") is False
    assert await claimed(guard, ISS, "jti-1") is False


async def sets_are_told_apart_by_issuer_and_jti(guard: ReplayGuard) -> None:
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("a", "b"),
        ("a", "BC"),
        ("a", "bc "),
        ("1:a", "b"),
    ]
    assert [await claimed(guard, iss, jti) for iss, jti in pairs] == [True] * len(pairs)
    assert [await claimed(guard, iss, jti) for iss, jti in pairs] == [False] * len(pairs)


async def any_text_can_be_claimed(guard: ReplayGuard) -> None:
    for jti in ("j" * 1024, "\u00e4\U0001f600", "'; DROP TABLE seen; --", "%s", "{}"):
        assert await claimed(guard, f"https://{jti}.example", jti) is True
        assert await claimed(guard, f"https://{jti}.example", jti) is False


async def a_handler_that_raises_does_not_burn_the_jti(guard: ReplayGuard) -> None:
    for _ in range(3):
        with pytest.raises(HandlerFailed):
            await fail(guard)
    assert await claimed(guard, ISS, "jti-1") is True
    assert await claimed(guard, ISS, "jti-1") is False


async def a_cancelled_handler_does_not_burn_the_jti(guard: ReplayGuard) -> None:
    inside = asyncio.Event()

    async def handle_for_ever() -> None:
        async with guard.claim(ISS, "jti-1"):
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(handle_for_ever())
        await inside.wait()
        task.cancel()
    assert await claimed(guard, ISS, "jti-1") is True


async def an_exception_about_a_repeat_changes_nothing(guard: ReplayGuard) -> None:
    assert await claimed(guard, ISS, "jti-1") is True
    with pytest.raises(HandlerFailed):
        await fail(guard, expect_new=False)
    assert await claimed(guard, ISS, "jti-1") is False


async def of_many_at_once_one_is_new(guard: ReplayGuard) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(claimed(guard, ISS, "jti-1")) for _ in range(50)]
    assert sorted(task.result() for task in tasks) == [False] * 49 + [True]


async def a_repeat_waits_until_the_first_has_been_handled(guard: ReplayGuard) -> None:
    inside, may_end = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def first() -> None:
        async with guard.claim(ISS, "jti-1"):
            inside.set()
            await may_end.wait()
            order.append("handled")

    async def second() -> None:
        async with guard.claim(ISS, "jti-1") as is_new:
            order.append(f"repeat is new: {is_new}")

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await inside.wait()
        group.create_task(second())
        assert await claimed(guard, ISS, "jti-2") is True  # others do not wait
        may_end.set()
    assert order == ["handled", "repeat is new: False"]


async def a_repeat_takes_over_when_the_first_fails(guard: ReplayGuard) -> None:
    inside, may_fail = asyncio.Event(), asyncio.Event()
    outcomes: list[bool] = []

    async def first() -> None:
        with pytest.raises(HandlerFailed):
            await fail(guard, inside=inside, may_fail=may_fail)

    async def repeat() -> None:
        outcomes.append(await claimed(guard, ISS, "jti-1"))

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await inside.wait()
        for _ in range(3):
            group.create_task(repeat())
        may_fail.set()
    assert sorted(outcomes) == [False, False, True]


async def a_cancelled_waiter_leaves_nothing_behind(guard: ReplayGuard) -> None:
    inside, may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with guard.claim(ISS, "jti-1"):
            inside.set()
            await may_end.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await inside.wait()
        waiter = group.create_task(claimed(guard, ISS, "jti-1"))
        await asyncio.sleep(0)
        waiter.cancel()
        may_end.set()
    assert waiter.cancelled()
    assert await claimed(guard, ISS, "jti-1") is False


REPLAY_GUARD_CHECKS: tuple[Check, ...] = (
    a_set_is_new_once,
    sets_are_told_apart_by_issuer_and_jti,
    any_text_can_be_claimed,
    a_handler_that_raises_does_not_burn_the_jti,
    a_cancelled_handler_does_not_burn_the_jti,
    an_exception_about_a_repeat_changes_nothing,
    of_many_at_once_one_is_new,
    a_repeat_waits_until_the_first_has_been_handled,
    a_repeat_takes_over_when_the_first_fails,
    a_cancelled_waiter_leaves_nothing_behind,
)

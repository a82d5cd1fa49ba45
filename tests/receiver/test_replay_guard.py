"""The guard in memory: the suite for all guards, and what only this one has: bounds."""

import pytest

from receiver import DuplicateInProgress, MemoryReplayGuard
from tests.conformance.replay_guard import ISS, REPLAY_GUARD_CHECKS, Check, claimed


class Clock:
    now_seconds = 1000.0

    def __call__(self) -> float:
        return self.now_seconds


@pytest.mark.parametrize("check", REPLAY_GUARD_CHECKS, ids=lambda check: check.__name__)
async def test_the_guard_in_memory_conforms(check: Check) -> None:
    await check(MemoryReplayGuard())


async def test_a_set_is_remembered_until_its_time_is_over() -> None:
    clock = Clock()
    guard = MemoryReplayGuard(monotonic=clock, keep_seconds=10)
    assert await claimed(guard, ISS, "jti-1") is True
    clock.now_seconds += 9.9
    assert await claimed(guard, ISS, "jti-1") is False
    clock.now_seconds += 0.1
    assert await claimed(guard, ISS, "jti-1") is True
    clock.now_seconds += 9.9
    assert await claimed(guard, ISS, "jti-1") is False


async def test_as_many_sets_as_allowed_are_remembered_and_the_oldest_is_forgotten_first() -> None:
    guard = MemoryReplayGuard(max_entries=3)
    for number in range(3):
        await claimed(guard, ISS, f"jti-{number}")
    assert [await claimed(guard, ISS, f"jti-{number}") for number in range(3)] == [False] * 3
    await claimed(guard, ISS, "jti-3")
    assert [await claimed(guard, ISS, f"jti-{number}") for number in (1, 2, 3)] == [False] * 3
    assert await claimed(guard, ISS, "jti-0") is True


async def test_expired_sets_make_room_and_take_none() -> None:
    clock = Clock()
    guard = MemoryReplayGuard(monotonic=clock, keep_seconds=10)
    for number in range(100):
        await claimed(guard, ISS, f"jti-{number}")
    clock.now_seconds += 10
    await claimed(guard, ISS, "another")
    assert len(guard._handled) == 1
    assert not guard._in_progress


async def test_a_repeat_that_waits_too_long_is_put_off() -> None:
    guard = MemoryReplayGuard(max_wait_seconds=0)
    async with guard.claim(ISS, "jti-1") as is_new:
        assert is_new
        with pytest.raises(DuplicateInProgress):
            await claimed(guard, ISS, "jti-1")
        assert await claimed(guard, ISS, "jti-2") is True
    assert await claimed(guard, ISS, "jti-1") is False


@pytest.mark.parametrize(
    "options",
    [{"keep_seconds": 0}, {"max_entries": 0}, {"max_wait_seconds": -1}],
    ids=str,
)
def test_a_guard_that_could_remember_nothing_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MemoryReplayGuard(**options)  # type: ignore[arg-type]

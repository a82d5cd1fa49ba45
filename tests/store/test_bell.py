"""The bell wakes those who listen to a key, and loses no ring between listening and waiting."""

import asyncio

from ssf.store.bell import Bell

FOREVER = 20.0
"""Nobody waits that long; a test that would is broken."""


async def test_a_ring_wakes_whoever_waits() -> None:
    bell = Bell()
    with bell.listen(7) as listener:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(listener.wait(FOREVER))
            bell.ring(7)
    assert waiting.result() is True


async def test_a_ring_between_listening_and_waiting_is_not_missed() -> None:
    bell = Bell()
    with bell.listen(7) as listener:
        bell.ring(7)
        assert await listener.wait(FOREVER) is True


async def test_without_a_ring_the_wait_ends_by_itself_and_says_so() -> None:
    with Bell().listen(7) as listener:
        assert await listener.wait(0) is False


async def test_a_ring_for_another_key_wakes_nobody() -> None:
    bell = Bell()
    with bell.listen(7) as listener:
        bell.ring(8)
        bell.ring(Bell.PUSH)
        assert await listener.wait(0) is False


async def test_a_ring_before_anybody_listened_is_forgotten() -> None:
    bell = Bell()
    bell.ring(7)
    with bell.listen(7) as listener:
        assert await listener.wait(0) is False


async def test_rings_that_come_together_count_once() -> None:
    bell = Bell()
    with bell.listen(7) as listener:
        for _ in range(3):
            bell.ring(7)
        assert await listener.wait(0) is True
        assert await listener.wait(0) is False


async def test_a_listener_hears_every_ring_that_comes_after_its_last_wait() -> None:
    bell = Bell()
    with bell.listen(7) as listener:
        for _ in range(3):
            bell.ring(7)
            assert await listener.wait(FOREVER) is True


async def test_everybody_who_listens_to_the_key_is_woken() -> None:
    bell = Bell()
    with bell.listen(7) as first, bell.listen(7) as second, bell.listen(8) as other:
        bell.ring(7)
        assert await first.wait(0) is True
        assert await second.wait(0) is True
        assert await other.wait(0) is False


async def test_ring_all_wakes_everybody() -> None:
    bell = Bell()
    with bell.listen(Bell.PUSH) as worker, bell.listen(7) as first, bell.listen(8) as second:
        bell.ring_all()
        assert [await one.wait(0) for one in (worker, first, second)] == [True, True, True]


async def test_a_listener_that_was_cancelled_is_forgotten() -> None:
    bell = Bell()
    began = asyncio.Event()

    async def listen() -> None:
        with bell.listen(7) as listener:
            began.set()
            await listener.wait(FOREVER)

    task = asyncio.create_task(listen())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert bell._waiting == {}


async def test_one_listener_that_leaves_does_not_take_the_others_along() -> None:
    bell = Bell()
    with bell.listen(7) as staying:
        with bell.listen(7):
            pass
        bell.ring(7)
        assert await staying.wait(0) is True
    assert bell._waiting == {}

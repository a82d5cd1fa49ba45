"""Polling and changes of status with real processes: signals, kill -9, `ssf streams`."""

import asyncio
import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import evil_receiver as evil
from tests.clients import ADMIN_TOKEN
from tests.end_to_end.processes import (
    TIMEOUT_SECONDS,
    Ended,
    Owner,
    Server,
    add_receiver,
    add_stream,
    run,
    serving,
)
from tests.evil_receiver import EvilReceiver

pytestmark = pytest.mark.e2e

STREAM_UPDATED = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"


def word_of(token: str) -> str:
    """A SET in a word: its `txn`, or the status and the reason that a notice tells."""
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    notice = claims["events"].get(STREAM_UPDATED)
    if notice is None:
        return str(claims["txn"])
    return " ".join([notice["status"], *([notice["reason"]] if "reason" in notice else [])])


async def poll(server: Server, owner: Owner, stream_id: str, **body: Any) -> dict[str, str]:
    """The SETs of one poll, by their `jti`, each in a word."""
    async with server.client(owner.access_token) as http:
        answer = await http.post(
            f"/ssf/v1/poll/{stream_id}", json={"returnImmediately": True, **body}
        )
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() <= {"sets", "moreAvailable"}
    return {jti: word_of(token) for jti, token in answer.json()["sets"].items()}


async def streams(server: Server, cwd: Path, *arguments: str) -> Ended:
    """`ssf streams …` against this server."""
    return await run("streams", *arguments, cwd=cwd, url=server.url, admin_token=ADMIN_TOKEN)


async def test_sigterm_answers_every_poll_that_waits_and_the_process_ends_well(
    database_url: str, tmp_path: Path
) -> None:
    count = 25
    async with serving(tmp_path, database_url, poll_wait_seconds=300) as server:
        owner = await add_receiver(server)
        ids = [await add_stream(server, owner, None) for _ in range(count)]
        for number in range(count):
            await server.emit(number)
        async with server.client(owner.access_token) as http:
            sets = [await poll(server, owner, stream_id) for stream_id in ids]
            waiting = [
                asyncio.create_task(http.post(f"/ssf/v1/poll/{stream_id}", json={"ack": [*taken]}))
                for stream_id, taken in zip(ids, sets, strict=True)
            ]
            # Once all is acknowledged, every poll has come as far as its wait.
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while await server.deliveries(state="waiting"):
                    assert not any(one.done() for one in waiting)
            server.send(signal.SIGTERM)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answers = [await one for one in waiting]
        assert [(one.status_code, one.json()) for one in answers] == [(200, {"sets": {}})] * count
        assert await server.ended() == 0


async def test_what_was_handed_out_and_not_acknowledged_comes_again_after_kill_9(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, database_url, poll_visibility_seconds=1) as server:
        owner = await add_receiver(server)
        stream_id = await add_stream(server, owner, None)
        for number in range(5):
            await server.emit(number, subject=number)
        first = await poll(server, owner, stream_id)
        assert len(first) == 5
        acknowledged = next(iter(first))
        assert await poll(server, owner, stream_id, ack=[acknowledged]) == {}
        await server.kill()

    async with serving(tmp_path, database_url, poll_visibility_seconds=1) as server:
        again = await poll(server, owner, stream_id, returnImmediately=False)
        assert again == {jti: word for jti, word in first.items() if jti != acknowledged}
        assert await poll(server, owner, stream_id, ack=[*again], maxEvents=0) == {}
        assert await server.terminate() == 0
    async with serving(tmp_path, database_url, poll_visibility_seconds=0) as server:
        assert await poll(server, owner, stream_id) == {}
        states = [one["state"] for one in await server.deliveries()]
        assert states == ["delivered"] * 5
        assert await server.terminate() == 0


async def test_a_pause_by_the_command_is_told_last_and_a_resume_releases_what_was_held(
    database_url: str, tmp_path: Path
) -> None:
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        async with serving(tmp_path, database_url) as server:
            owner = await add_receiver(server)
            pushed = await add_stream(server, owner, receiver.url("/events"))
            polled = await add_stream(server, owner, None)

            def words() -> list[str]:
                return [word_of(body.decode()) for body in receiver.bodies]

            await server.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            for stream_id in (pushed, polled):
                ended = await streams(server, tmp_path, "pause", stream_id, "--reason", "until 5")
                assert ended == Ended(0, f"ssf: {stream_id} is paused", "")
            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            for number in (2, 3, 4):
                await server.emit(number)
            assert [*(await poll(server, owner, polled)).values()] == ["paused until 5"]
            shown = await streams(server, tmp_path, "show", pushed, "--json")
            assert json.loads(shown.stdout)["reason"] == "until 5"
            assert json.loads(shown.stdout)["health"]["waiting"] == 3
            assert words() == ["1", "paused until 5"]

            for stream_id in (pushed, polled):
                ended = await streams(server, tmp_path, "resume", stream_id)
                assert ended == Ended(0, f"ssf: {stream_id} is enabled", "")
            await receiver.wait_for_requests(6, timeout_seconds=TIMEOUT_SECONDS)
            released = words()[2:]
            assert sorted(released) == ["2", "3", "4", "enabled"]
            assert [word for word in released if word != "enabled"] == ["2", "3", "4"]
            held = [*(await poll(server, owner, polled)).values()]
            assert [word for word in held if word.isdigit()] == ["1", "2", "3", "4"]
            assert held[-1] == "enabled"
            assert await server.terminate() == 0


async def test_the_command_says_what_is_wrong(database_url: str, tmp_path: Path) -> None:
    async with serving(tmp_path, database_url) as server:
        missing = await streams(server, tmp_path, "pause", "0" * 32)
        assert (missing.code, missing.line) == (1, "ssf: There is no such stream. (not_found)")
        both = await streams(server, tmp_path, "probe", "0" * 32)
        assert both.code == 2
        assert await server.terminate() == 0

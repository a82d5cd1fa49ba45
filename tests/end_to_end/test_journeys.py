"""The pages for people who build receivers: every command on them works as it stands."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from tests import evil_receiver as evil
from tests.end_to_end.processes import (
    SSF,
    TIMEOUT_SECONDS,
    Owner,
    Server,
    add_stream,
    assert_clean,
    environment,
)
from tests.evil_receiver import EvilReceiver

pytestmark = pytest.mark.e2e

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("push", "poll", "subjects", "status", "verification", "older-profile")
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PAGE_SECONDS = 3 * TIMEOUT_SECONDS


def commands_of(page: str) -> str:
    """Everything in the page's blocks of commands, as one script: a block may use what the one
    before it has set."""
    return "\n".join(_BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8")))


async def bash(
    script: str, *, cwd: Path, env: dict[str, str], seconds: float = _PAGE_SECONDS
) -> str:
    """What a script prints; it must end well."""
    running = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            printed, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    text = printed.decode()
    assert running.returncode == 0, text
    return text


@pytest.mark.parametrize("page", [name for name in PAGES if (DOCS / f"{name}.md").exists()])
async def test_every_command_on_the_page_works(page: str, tmp_path: Path) -> None:
    script = commands_of(page)
    assert script, "the page shows no command"
    env = environment(signing_algorithm="ES256")
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        async with await Server.start(
            "serve", "--dev", "--port", "0", env=env, cwd=tmp_path
        ) as server:
            await server.listening()
            (printed,) = [
                line for line in server.stdout.all if line.startswith("ssf: SSF_ADMIN_TOKEN=")
            ]
            shell = environment(url=server.url, admin_token=printed.partition("=")[2])
            # `ssf` and `python3` are those of this environment, for the page's commands too.
            shell["PATH"] = os.pathsep.join([str(SSF.parent), shell.get("PATH", os.defpath)])
            added = json.loads(
                await bash(
                    "ssf receivers add relying-party --audience https://receiver.example.com --json",
                    cwd=tmp_path,
                    env=shell,
                )
            )
            owner = Owner(added["access_token"], added["client_id"])
            shell |= {
                "TOKEN": owner.access_token,
                "STREAM_ID": await add_stream(server, owner, None),
                "PUSH_STREAM_ID": await add_stream(server, owner, receiver.url("/events")),
                "PUSH_URL": receiver.url("/events"),
            }
            said = await bash(script, cwd=tmp_path, env=shell)
            assert "Traceback" not in said, said
            if page == "push":
                await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
                headers = receiver.requests[0].headers
                assert headers["authorization"] == "Bearer what-we-agreed"
            assert await server.terminate() == 0
        assert_clean(server)

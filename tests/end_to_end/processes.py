"""Real `ssf` processes: started with a clean environment, watched line by line, always killed."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

import ssf
from tests.clients import ADMIN_TOKEN, AUDIENCE, SECRET_KEY, SESSION_REVOKED

SSF = Path(sys.executable).parent / "ssf"
LISTENING = "ssf: listening on "
TIMEOUT_SECONDS = 40
"""For anything that a test waits for; reached only when something is broken."""


def environment(**settings: str | int) -> dict[str, str]:
    """An environment with these settings and nothing of whoever runs the tests.

    Args:
        settings: By their names in lower case, without `SSF_`.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # The processes run the same code as this one, wherever it was imported from.
    kept["PYTHONPATH"] = str(Path(ssf.__file__).parents[1])
    kept["COLUMNS"] = "200"
    return kept | {f"SSF_{name.upper()}": f"{value}" for name, value in settings.items()}


def server_settings(database_url: str, **settings: str | int) -> dict[str, str | int]:
    """Settings of a server on a free port that may push to loopback over http."""
    return {
        "issuer": "https://ssf.example.com",
        "port": 0,
        "database_url": database_url,
        "admin_token": ADMIN_TOKEN,
        "secret_key": SECRET_KEY,
        "allow_http": "1",
        "egress_allow": "127.0.0.0/8",
        "signing_algorithm": "ES256",
        "push_attempt_seconds": 2,
        **settings,
    }


class Lines:
    """What a process writes, for a test that waits for a line."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._written = asyncio.Condition()
        self._is_over = False

    async def collect(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            async with self._written:
                self.all.append(line.decode("utf-8").rstrip("\n"))
                self._written.notify_all()
        async with self._written:
            self._is_over = True
            self._written.notify_all()

    async def wait_for(self, wanted: Callable[[str], bool], count: int = 1) -> str:
        """The so-manieth line of this kind.

        Raises:
            AssertionError: The process ended without it.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS), self._written:
            await self._written.wait_for(
                lambda: self._is_over or sum(map(wanted, self.all)) >= count
            )
        found = [line for line in self.all if wanted(line)]
        assert len(found) >= count, "\n".join(self.all)
        return found[count - 1]

    @property
    def text(self) -> str:
        return "\n".join(self.all)


@dataclass
class Process:
    """A running `ssf`. Use as `async with`, which ends it whatever happens."""

    running: asyncio.subprocess.Process
    stdout: Lines = field(default_factory=Lines)
    stderr: Lines = field(default_factory=Lines)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(cls, *arguments: str, env: Mapping[str, str], cwd: Path) -> Self:
        running = await asyncio.create_subprocess_exec(
            SSF,
            *arguments,
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        process = cls(running)
        assert running.stdout is not None
        assert running.stderr is not None
        process._readers = [
            asyncio.create_task(process.stdout.collect(running.stdout)),
            asyncio.create_task(process.stderr.collect(running.stderr)),
        ]
        return process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        return self.running.pid

    async def ended(self) -> int:
        """Waits until it has ended by itself and all it wrote was read; returns its exit code."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            code = await self.running.wait()
            await asyncio.wait(self._readers)
        return code

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.running.send_signal(number)

    async def kill(self) -> int:
        """SIGKILL, as when the power fails; also for a process that has ended already."""
        if self.running.returncode is None:
            self.send(signal.SIGKILL)
        return await self.ended()

    async def terminate(self) -> int:
        """SIGTERM, and waits for the end."""
        self.send(signal.SIGTERM)
        return await self.ended()


@dataclass
class Server(Process):
    """A running `ssf serve`, and its operator's client."""

    url: str = ""

    def client(self, token: str | None = ADMIN_TOKEN) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
        )

    async def listening(self) -> Self:
        """Returns once requests are answered."""
        line = await self.stdout.wait_for(lambda line: line.startswith(LISTENING))
        self.url = line.removeprefix(LISTENING)
        return self

    async def emit(self, number: int, subject: object = "someone", **headers: str) -> None:
        """Emits an event that can be told by its `txn`, and insists on 202."""
        async with self.client() as http:
            answer = await http.post(
                "/admin/v1/events", json=event(number, subject), headers=headers
            )
        assert answer.status_code == 202, answer.text

    async def deliveries(self, **query: str) -> list[dict[str, Any]]:
        """Deliveries as an operator sees them, all pages."""
        found: list[dict[str, Any]] = []
        async with self.client() as http:
            while True:
                answer = await http.get("/admin/v1/deliveries", params={"limit": "200", **query})
                assert answer.status_code == 200, answer.text
                page = answer.json()
                found += page["deliveries"]
                if "next" not in page:
                    return found
                query["after"] = page["next"]

    async def logged(self, action: str, count: int = 1) -> str:
        """Waits for the so-manieth line of the log with this action."""
        return await self.stderr.wait_for(lambda line: f'"action": "{action}"' in line, count)


def event(number: int, subject: object = "someone") -> dict[str, Any]:
    return {
        "event_type": "session-revoked",
        "subject": {"format": "opaque", "id": f"{subject}"},
        "txn": f"{number}",
    }


@contextlib.asynccontextmanager
async def serving(
    cwd: Path, database_url: str, *arguments: str, **settings: str | int
) -> AsyncIterator[Server]:
    """`ssf serve`, answering requests; killed at the end if it still runs."""
    server = await Server.start(
        "serve",
        *arguments,
        env=environment(**server_settings(database_url, **settings)),
        cwd=cwd,
    )
    async with server:
        yield await server.listening()
    assert_clean(server)


def assert_clean(process: Process) -> None:
    """Nothing that a user should not see, and no task or coroutine forgotten."""
    for word in ("Traceback", "never awaited", "was destroyed", "Warning", "never retrieved"):
        assert word not in process.stderr.text, process.stderr.text


@dataclass(frozen=True)
class Ended:
    """A command that has run to its end."""

    code: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The one line on standard error, without which a refusal is none."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("ssf: "), self.stderr
        return lines[0]


async def run(*arguments: str, cwd: Path, **settings: str | int) -> Ended:
    """Runs a command with these settings to its end."""
    process = await Process.start(*arguments, env=environment(**settings), cwd=cwd)
    async with process:
        code = await process.ended()
    return Ended(code, process.stdout.text, process.stderr.text)


@dataclass(frozen=True)
class Owner:
    """A receiver's credentials; they outlive the process that made them."""

    access_token: str
    client_id: str


async def add_receiver(server: Server) -> Owner:
    async with server.client() as http:
        count = len((await http.get("/admin/v1/receivers")).json()["receivers"])
        added = await http.post(
            "/admin/v1/receivers", json={"name": f"receiver {count}", "audience": AUDIENCE}
        )
    assert added.status_code == 201, added.text
    return Owner(added.json()["access_token"], added.json()["client_id"])


async def add_stream(server: Server, owner: Owner, endpoint_url: str | None) -> str:
    """A stream that is pushed there, or polled; returns its `stream_id`."""
    body: dict[str, Any] = {"events_requested": [SESSION_REVOKED]}
    if endpoint_url is not None:
        body["delivery"] = {"method": "urn:ietf:rfc:8935", "endpoint_url": endpoint_url}
    async with server.client(owner.access_token) as http:
        created = await http.post("/ssf/v1/streams", json=body)
    assert created.status_code == 201, created.text
    stream_id: str = created.json()["stream_id"]
    return stream_id


async def add_push_stream(server: Server, endpoint_url: str) -> str:
    return await add_stream(server, await add_receiver(server), endpoint_url)


def pid_in(text: str) -> int:
    """The first number in a sentence about a process."""
    found = re.search(r"process (\d+)", text)
    assert found is not None, text
    return int(found[1])

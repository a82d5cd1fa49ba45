"""A clock that a test moves, and a receiver that writes down what it is sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from typing_extensions import override

from ssf.clock import MICROSECONDS


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self, now: int = 1_800_000_000 * MICROSECONDS) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * MICROSECONDS)
        self._monotonic += seconds

    def set_wall_clock(self, now: int) -> None:
        """Sets the wall clock, backwards too; the monotonic one goes on."""
        self._now = now


class SilentLog:
    """Keeps lines for a test to look at."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _write(self, action: str, **fields: Any) -> None:
        self.lines.append((action, fields))

    debug = info = warning = error = exception = _write


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a receiver answers."""

    status: int = 202
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RecordingReceiver:
    """A real HTTP server on loopback that records every push and answers what it is told to."""

    def __init__(self) -> None:
        self.pushed: list[Pushed] = []
        self.answer: Callable[[Pushed], Answer] = lambda _pushed: Answer()
        self._arrived = asyncio.Condition()
        self.origin = ""

    @property
    def url(self) -> str:
        return f"{self.origin}/events"

    async def wait_for(self, count: int) -> list[Pushed]:
        """Returns once so many pushes have arrived."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: len(self.pushed) >= count)
        return self.pushed

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        pushed = Pushed(
            path=scope["path"],
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=body.decode("utf-8"),
        )
        answer = self.answer(pushed)
        headers = [(k.encode(), v.encode()) for k, v in answer.headers.items()]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        async with self._arrived:
            self.pushed.append(pushed)
            self._arrived.notify_all()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["RecordingReceiver"]:
        started = asyncio.Event()

        class Server(uvicorn.Server):
            @override
            @contextlib.contextmanager
            def capture_signals(self) -> Any:
                yield

            @override
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                started.set()

        server = Server(
            uvicorn.Config(
                self._app,
                port=0,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                timeout_graceful_shutdown=1,
            )
        )
        task = asyncio.create_task(server.serve())
        await started.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        self.origin = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.should_exit = True
            await task

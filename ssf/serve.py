"""Process life: the HTTP server and the push worker as siblings; either one ending ends the other.

SIGTERM and SIGINT drain: no new requests, waiting polls are answered, pushes under way finish, and
the process exits 0. A second signal ends it at once; nothing is lost by that, since a push whose
outcome was not recorded is sent again.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from typing_extensions import override

from ssf.api.bounded_http import BoundedHttpProtocol
from ssf.app import Transmitter, build_transmitter, require_complete
from ssf.clock import SystemClock
from ssf.log import Log
from ssf.settings import STRONG_SECRET_CHARS, BadConfiguration, Settings
from ssf.store.database import Database
from ssf.store.sqlite_lock import SqliteLock

DRAIN_SECONDS = 20
"""How long requests that are being answered may take after the first signal."""

_BACKLOG = 2048


class SiblingEnded(Exception):
    """The HTTP server or the worker ended although nobody had asked for it."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process with the signal."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


async def serve(
    settings: Settings, *, database: Database, log: Log, announce: Callable[[str], None]
) -> None:
    """Serves until a signal comes.

    Args:
        settings: Complete settings.
        database: Not opened yet.
        log: Where lines go.
        announce: Called with the URL once requests are answered.

    Raises:
        BadConfiguration: A setting is missing or wrong, or the port is taken.
        DatabaseInUse: Another process serves from the SQLite file.
        SiblingEnded: The server or the worker ended by itself.
        StorageError: The database did not answer, or has the wrong schema.
    """
    clock = SystemClock()
    require_complete(settings)
    _warn_of_weak_secrets(settings, log)
    with _sole_user(database), _listening_socket(settings) as listening:
        try:
            await database.require_schema()
            stopping = asyncio.Event()
            transmitter = await build_transmitter(
                settings, database=database, clock=clock, log=log, stopping=stopping.is_set
            )
            url = _url_of(listening)
            async with transmitter.egress:
                await _run_siblings(transmitter, listening, stopping, log, lambda: announce(url))
        finally:
            await database.close()


async def _run_siblings(
    transmitter: Transmitter,
    listening: socket.socket,
    stopping: asyncio.Event,
    log: Log,
    announce: Callable[[], None],
) -> None:
    config = uvicorn.Config(
        transmitter.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        http=BoundedHttpProtocol,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config, announce)

    def stop(why: str) -> None:
        if stopping.is_set():
            log.warning("serve.stopped_at_once", why=why)
            os._exit(1)
        stopping.set()
        server.should_exit = True
        transmitter.bell.ring_all()
        log.info("serve.stopping", why=why)

    async def require_stopping(work: Awaitable[None], name: str) -> None:
        await work
        if not stopping.is_set():
            raise SiblingEnded(f"The {name} ended by itself.")

    with _stopped_by_signals(stop):
        async with asyncio.TaskGroup() as siblings:
            siblings.create_task(require_stopping(server.serve([listening]), "HTTP server"))
            siblings.create_task(require_stopping(transmitter.worker.run(stopping), "push worker"))
            siblings.create_task(require_stopping(transmitter.rounds.run(stopping), "rounds"))
    log.info("serve.stopped")


def _url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[str], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop, number.name)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _warn_of_weak_secrets(settings: Settings, log: Log) -> None:
    for name in ("admin_token", "secret_key"):
        secret = getattr(settings, name)
        if secret is not None and len(secret.get_secret_value()) < STRONG_SECRET_CHARS:
            log.warning("serve.weak_secret", setting=f"SSF_{name.upper()}")


@contextlib.contextmanager
def _sole_user(database: Database) -> Iterator[None]:
    if not database.is_sqlite:
        yield
        return
    lock = SqliteLock(database.url)
    lock.take()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _listening_socket(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as error:
            raise BadConfiguration(
                f"SSF_HOST, SSF_PORT: cannot listen on {settings.host}:{settings.port} "
                f"({error.strerror})."
            ) from error
        yield listening
    finally:
        listening.close()

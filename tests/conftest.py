"""Fixtures of all tests: a clean environment, both databases, a transmitter and its clients."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ssf.store.database import Database
from tests.clients import TransmitterUnderTest, running_transmitter
from tests.fakes import FakeClock, RecordingReceiver
from tests.postgres import PostgresServer, postgres_server

settings.register_profile(
    "dev",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile(
    "ci",
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in os.environ:
        if name.startswith("SSF_") and not name.startswith("SSF_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a template database whose tables are there."""
    with postgres_server() as server:
        _run_apart(_prepare(server))
        yield server
        if not server.is_ours:
            _run_apart(server.drop_template())


def _run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Runs to the end on a loop of its own: the test that came first has one running already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()


async def _prepare(server: PostgresServer) -> None:
    if server.is_ours:
        await server.hurry()
    await server.make_template()
    database = Database(server.template_url)
    await database.migrate()
    await database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of an SQLite database whose tables are there."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _run_apart(_migrate_sqlite(path))
    return path.read_bytes()


async def _migrate_sqlite(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database whose tables are there; every test that takes it runs on both."""
    if request.param == "sqlite":
        path = tmp_path / "ssf.db"
        path.write_bytes(request.getfixturevalue("sqlite_template"))
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new_database()
    yield server.url_of(name)
    await server.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
async def transmitter(database: Database, clock: FakeClock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter over a real database, called in-process; its worker runs when told to."""
    async with running_transmitter(database, clock) as running:
        yield running


@pytest.fixture
async def push_receiver() -> AsyncIterator[RecordingReceiver]:
    """A real HTTP server that records pushes."""
    async with RecordingReceiver().running() as receiver:
        yield receiver

"""Transactions: durable, all or nothing, and in our own words when the database fails."""

import asyncio
import fcntl
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, make_url, select, text, update

from ssf.rules.storage_errors import (
    DatabaseInUse,
    SchemaOutdated,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from ssf.store.database import SCHEMA_REVISION, Database
from ssf.store.schema import metadata, projects
from ssf.store.sqlite_lock import SqliteLock
from tests.postgres import PostgresServer


@pytest.fixture
async def sqlite_url(tmp_path: Path, sqlite_template: bytes) -> str:
    path = tmp_path / "only.db"
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    name = await postgres.new_database()
    yield postgres.url_of(name)
    await postgres.drop(name)


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    opened = Database(postgres_url)
    yield opened
    await opened.close()


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        found = await connection.execute(select(projects.c.name).order_by(projects.c.name))
        return [*found.scalars()]


async def add(database: Database, name: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(insert(projects).values(name=name, created_at=0))


# ---------------------------------------------------------------- durable


@pytest.mark.parametrize("way", ["transaction", "reading"])
async def test_sqlite_survives_a_power_cut(sqlite_database: Database, way: str) -> None:
    """WAL with `synchronous=FULL`: NORMAL may lose the last commits."""
    async with getattr(sqlite_database, way)() as connection:
        found = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


async def test_postgresql_answers_a_commit_once_it_is_on_disk(postgres_database: Database) -> None:
    async with postgres_database.transaction() as transaction:
        found = (await transaction.execute(text("SHOW synchronous_commit"))).scalar_one()
    assert found == "on"


# ---------------------------------------------------------------- all or nothing


async def test_a_transaction_commits_when_it_ends_well(database: Database) -> None:
    await add(database, "one")
    assert await names(database) == ["one"]


@pytest.mark.parametrize("error", [ValueError, KeyError, asyncio.CancelledError])
async def test_a_transaction_leaves_nothing_when_it_does_not(
    database: Database, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with database.transaction() as transaction:
            await transaction.execute(insert(projects).values(name="one", created_at=0))
            raise error

    await add(database, "two")
    assert await names(database) == ["two"]


async def test_what_is_not_committed_is_seen_by_nobody_else(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(insert(projects).values(name="one", created_at=0))
        assert await names(database) == []
    assert await names(database) == ["one"]


async def test_reading_waits_for_no_writer_and_keeps_its_view(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(insert(projects).values(name="one", created_at=0))
        async with asyncio.timeout(20):
            assert await names(database) == []


async def test_transactions_at_once_do_not_mix(database: Database) -> None:
    """Every second one fails; nothing of it is left, and nothing of the others is missing."""

    async def work(number: int) -> None:
        async with database.transaction() as transaction:
            for part in ("a", "b"):
                await transaction.execute(
                    insert(projects).values(name=f"{number:02}{part}", created_at=0)
                )
                await asyncio.sleep(0)
            if number % 2:
                raise ValueError

    async def attempt(number: int) -> None:
        try:
            await work(number)
        except ValueError:
            assert number % 2

    async with asyncio.TaskGroup() as tasks:
        for number in range(40):
            tasks.create_task(attempt(number))

    assert await names(database) == [f"{n:02}{part}" for n in range(0, 40, 2) for part in "ab"]


async def test_a_writer_that_reads_first_loses_no_update(sqlite_url: str) -> None:
    """Two openings of one file: with a deferred BEGIN this fails at once, whatever the timeout."""
    first, second = Database(sqlite_url), Database(sqlite_url)
    await add(first, "counter")

    async def count(database: Database) -> None:
        for _ in range(20):
            async with database.transaction() as transaction:
                value = (await transaction.execute(select(projects.c.created_at))).scalar_one()
                await asyncio.sleep(0)
                await transaction.execute(update(projects).values(created_at=value + 1))

    async with asyncio.TaskGroup() as tasks:
        for database in (first, first, second, second):
            tasks.create_task(count(database))

    async with first.reading() as connection:
        assert (await connection.execute(select(projects.c.created_at))).scalar_one() == 80
    await first.close()
    await second.close()


async def test_a_writer_that_is_cancelled_at_any_point_leaves_no_transaction_open(
    database: Database,
) -> None:
    chance = random.Random(7)
    committed: set[int] = set()

    async def write(number: int) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(insert(projects).values(name=f"{number:03}a", created_at=0))
            await transaction.execute(insert(projects).values(name=f"{number:03}b", created_at=0))
        committed.add(number)

    async def attempt(number: int) -> None:
        task = asyncio.create_task(write(number))
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    for first in range(0, 60, 4):
        async with asyncio.TaskGroup() as tasks:
            for number in range(first, first + 4):
                tasks.create_task(attempt(number))

    async with asyncio.timeout(20):
        await add(database, "zzz")
    found = await names(database)
    pairs = {name[:3] for name in found if name != "zzz"}
    assert found == sorted([f"{pair}{part}" for pair in pairs for part in "ab"] + ["zzz"])
    assert {int(pair) for pair in pairs} >= committed


async def test_a_writer_that_is_cancelled_while_it_reads_does_not_keep_the_file_locked(
    database: Database,
) -> None:
    """Whoever still looks at the cancelled task must not hold up every other writer by that."""
    async with database.transaction() as transaction:
        await transaction.execute(
            insert(projects), [{"name": f"{i:05}", "created_at": 0} for i in range(5_000)]
        )

    async def read() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(select(projects))

    cancelled = []
    for turns in range(30):
        task = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        cancelled.append(task)
        await add(database, f"after {turns}")


# ---------------------------------------------------------------- locked, full, gone


async def test_f_11_a_lock_that_is_held_for_a_while_only_slows_a_writer(
    sqlite_url: str, sqlite_database: Database
) -> None:
    other = sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(add(sqlite_database, "one"))
        assert await names(sqlite_database) == []
        assert not writing.done()
        other.execute("COMMIT")
    other.close()

    assert await names(sqlite_database) == ["one"]


async def test_f_11_a_lock_that_is_held_for_longer_than_we_wait_is_storage_busy(
    sqlite_url: str, sqlite_database: Database
) -> None:
    other = sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StorageBusy) as refused:
        await add(sqlite_database, "one")
    assert refused.value.retry_after_seconds == 1
    other.execute("COMMIT")
    other.close()

    await add(sqlite_database, "two")
    assert await names(sqlite_database) == ["two"]


async def test_f_13_a_full_database_says_so_and_takes_writes_again_when_there_is_room(
    sqlite_database: Database,
) -> None:
    async with sqlite_database.transaction() as transaction:
        pages = (await transaction.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await transaction.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StorageFull):
        await add(sqlite_database, "x" * 100_000)
    assert await names(sqlite_database) == []

    async with sqlite_database.transaction() as transaction:
        await transaction.exec_driver_sql(f"PRAGMA max_page_count={pages * 100}")
    await add(sqlite_database, "x" * 100_000)
    assert len(await names(sqlite_database)) == 1


async def test_a_server_that_does_not_answer_is_storage_unavailable() -> None:
    database = Database("postgresql://somebody:a-password@127.0.0.1:1/ssf")
    with pytest.raises(StorageUnavailable) as refused:
        await names(database)
    await database.close()
    assert "a-password" not in repr(refused.value)


async def test_a_database_that_is_not_on_the_server_is_a_storage_error(
    postgres_url: str,
) -> None:
    url = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    database = Database(url)
    with pytest.raises(StorageError):
        await names(database)
    await database.close()


async def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all " * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError):
        await database.require_schema()
    await database.close()


async def test_lost_connections_are_made_anew(
    postgres_url: str, postgres_database: Database
) -> None:
    """One request may fail; the next one works without a restart."""
    await add(postgres_database, "one")
    other = Database(postgres_url)
    async with other.transaction() as transaction:
        await transaction.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await other.close()

    try:
        await add(postgres_database, "two")
    except StorageUnavailable:
        await add(postgres_database, "two")
    assert await names(postgres_database) == ["one", "two"]


async def test_a_server_that_refuses_connections_for_a_while_is_storage_trouble_and_recovers(
    postgres: PostgresServer, postgres_url: str, postgres_database: Database
) -> None:
    """As a server does that is starting up: it is there, but says no."""
    name = make_url(postgres_url).database
    await add(postgres_database, "one")
    await postgres._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await postgres._run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    for _ in range(2):
        with pytest.raises(StorageError):
            await add(postgres_database, "two")

    await postgres._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await add(postgres_database, "three")
    assert await names(postgres_database) == ["one", "three"]


async def test_a_statement_that_the_database_refuses_is_a_storage_error(
    database: Database,
) -> None:
    with pytest.raises(StorageError):
        async with database.transaction() as transaction:
            await transaction.execute(text("SELECT * FROM no_such_table"))
    await add(database, "one")
    assert await names(database) == ["one"]


# ---------------------------------------------------------------- tables


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new_database(empty=True)
    yield server.url_of(name)
    await server.drop(name)


async def table_names(database: Database) -> set[str]:
    async with database.reading() as connection:
        return {*await connection.run_sync(lambda sync: sync.dialect.get_table_names(sync))}


async def test_an_empty_database_gets_its_tables(empty_url: str) -> None:
    database = Database(empty_url)
    await database.require_schema()
    await database.require_schema()
    assert await table_names(database) >= {*metadata.tables}
    await database.close()


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await add(database, "one")
    await database.migrate()
    await database.migrate()
    assert await names(database) == ["one"]


async def test_nodes_that_start_on_an_empty_database_at_once_all_find_tables(
    empty_url: str,
) -> None:
    nodes = [Database(empty_url) for _ in range(4)]
    async with asyncio.TaskGroup() as starting:
        for node in nodes:
            starting.create_task(node.require_schema())
    for number, node in enumerate(nodes):
        await add(node, f"{number}")
        await node.close()


@pytest.mark.parametrize("revision", ["0000", "9999"])
async def test_tables_of_another_revision_are_refused_with_the_command_to_run(
    database: Database, revision: str
) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )
    with pytest.raises(SchemaOutdated, match="ssf migrate") as refused:
        await database.require_schema()
    assert revision in str(refused.value)
    assert SCHEMA_REVISION in str(refused.value)


async def test_a_migration_that_fails_half_way_leaves_no_table(
    empty_url: str,
) -> None:
    """A table of ours is in the way of the last steps: all or nothing, and then again."""
    database = Database(empty_url)
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE routes (x INTEGER)"))
    with pytest.raises(StorageError):
        await database.migrate()
    assert await table_names(database) <= {"routes", "sqlite_sequence"}

    async with database.transaction() as transaction:
        await transaction.execute(text("DROP TABLE routes"))
    await database.require_schema()
    assert await table_names(database) >= {*metadata.tables}
    await database.close()


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////no/such/folder/ssf.db",
        "sqlite:ssf.db",
        "nonsense",
        "",
        "mysql://user:a-password@127.0.0.1/ssf",
        "postgresql://127.0.0.1:port/ssf",
    ],
)
def test_a_url_that_is_none_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message differs, the class not
        Database(url)
    assert "a-password" not in str(refused.value)


# ---------------------------------------------------------------- one process per file


def test_f_16_the_lock_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ssf.db'}"
    first, second = SqliteLock(url), SqliteLock(url)
    first.take()
    with pytest.raises(DatabaseInUse) as refused:
        second.take()
    assert refused.value.pid == os.getpid()
    assert str(os.getpid()) in str(refused.value)
    first.release()
    first.release()
    second.take()
    second.release()


def test_f_16_the_lock_ends_with_its_process_however_it_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ssf.db'}"
    program = (
        "import os, signal, sys\n"
        "from ssf.store.sqlite_lock import SqliteLock\n"
        f"SqliteLock({url!r}).take()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == -9

    lock = SqliteLock(url)
    lock.take()
    lock.release()


def test_a_lock_file_without_a_number_in_it_is_refused_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ssf.db.lock"
    path.write_text("")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DatabaseInUse) as refused:
            SqliteLock(f"sqlite:///{tmp_path / 'ssf.db'}").take()
    assert refused.value.pid is None


async def test_two_files_are_two_databases(tmp_path: Path) -> None:
    locks: list[Any] = [SqliteLock(f"sqlite:///{tmp_path / name}") for name in ("a.db", "b.db")]
    for lock in locks:
        lock.take()
    for lock in locks:
        lock.release()

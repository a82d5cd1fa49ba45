"""Opens the database and hands out transactions: one writer on SQLite, a pool on PostgreSQL.

SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives a power cut. Each
writing transaction starts with `BEGIN IMMEDIATE`; one that only starts to write after it has read
fails at once when somebody else has written meanwhile, whatever the busy timeout says.
"""

import asyncio
import os
import sqlite3
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, event, exc, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ssf.rules.storage_errors import (
    SchemaOutdated,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from ssf.store.schema import create_tables

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Connection = AsyncConnection
"""A connection inside a transaction. Callers pass it on to the functions of this package."""

BUSY_TIMEOUT_SECONDS = 5
_TRIES_TO_START = 3
_READERS = 4
_POSTGRESQL_POOL_SIZE = 10
_CONNECT_TIMEOUT_SECONDS = 5
_STATEMENT_TIMEOUT_SECONDS = 30

_SQLSTATES_TO_TRY_AGAIN = ("40P01", "40001")
_SQLSTATES_OF_LOST_CONNECTIONS = ("08", "57P", "53300")
_SQLSTATES_OF_REFUSED_CONNECTIONS = ("28", "3D")

_POSTGRESQL_PARAMETERS = ("host", "port", "ssl", "sslmode")
_POSTGRESQL_WORDS = ", ".join(_POSTGRESQL_PARAMETERS)

SCHEMA_REVISION = "0002"
"""The migration that this program needs; the newest in `ssf/store/migrations`."""


def insert_or(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that can say ON CONFLICT, in the words of the connection's database."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    # Imported here: it costs 0.1 s at start, which nobody on SQLite need wait for.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)


class Database:
    """The store's way to its database; one for the whole process."""

    def __init__(self, url: str) -> None:
        """Prepares, but opens nothing yet.

        Args:
            url: `sqlite:///relative`, `sqlite:////absolute` or `postgresql://user:pw@host/name`.

        Raises:
            ValueError: The URL is none of these.
        """
        try:
            make_url(url)
        except exc.ArgumentError as error:
            raise ValueError("it begins with sqlite:/// or postgresql://") from error
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._readers = _sqlite_engine(url, begin="BEGIN", pool_size=_READERS)
        elif url.startswith(("postgresql:", "postgres:")):
            self._writer = self._readers = _postgresql_engine(url)
        else:
            raise ValueError("it begins with sqlite:/// or postgresql://")
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A writing transaction: commits at the end, rolls back on any exception.

        Never await the network, a signature or another transaction inside of it.

        Raises:
            StorageError: The database did not take it.
        """
        async with _translated():
            if self.is_sqlite:
                async with self._writing:
                    try:
                        async with self._writer.begin() as connection:
                            yield connection
                    except asyncio.CancelledError as cancelled:
                        # A cursor in a frame of the traceback would keep the connection that is
                        # being closed, and with it the lock on the file, alive.
                        traceback.clear_frames(cancelled.__traceback__)
                        raise
            else:
                async with self._writer.begin() as connection:
                    yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A transaction that only reads, beside the writer.

        Raises:
            StorageError: The database did not answer.
        """
        async with _translated(), self._readers.begin() as connection:
            yield connection

    async def ping(self) -> None:
        """Asks the database something.

        Raises:
            StorageError: It does not answer.
        """
        async with self.reading() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    async def require_schema(self) -> None:
        """Makes the tables in an empty database, and refuses any that are not ours.

        Raises:
            SchemaOutdated: With the command to run.
            StorageError: The database is not reachable.
        """
        self._create_file()
        for tries_left in reversed(range(_TRIES_TO_START)):
            try:
                await self._require_schema()
            except StorageBusy:
                # Others are making the tables at this moment, on a disk that has much to do.
                if not tries_left:
                    raise
            else:
                return

    async def _require_schema(self) -> None:
        revision = await self._revision()
        if revision is None:
            await self._create_schema()
        elif revision != SCHEMA_REVISION:
            raise SchemaOutdated(
                f"The database has schema {revision}, this program needs {SCHEMA_REVISION}. "
                "Stop every ssf process, make a backup, and run: ssf migrate"
            )

    async def _create_schema(self) -> None:
        """Makes the tables as they are now; a test holds them against what migrations make."""
        async with self.transaction() as connection:
            await connection.run_sync(create_tables, SCHEMA_REVISION)

    async def migrate(self) -> None:
        """Brings the tables to the newest revision; does nothing when they are there."""
        # Imported here: Alembic costs 0.2 s at start, and an empty database does without it.
        from ssf.store.migrations import upgrade_to_head  # noqa: PLC0415

        self._create_file()

        async with self.transaction() as connection:
            await connection.run_sync(upgrade_to_head)

    def _create_file(self) -> None:
        """Makes the SQLite file so that nobody else can read it: subjects are in it as they are.

        Raises:
            StorageUnavailable: It cannot be made.
        """
        if not self.is_sqlite:
            return
        path = make_url(self.url).database
        assert path is not None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be opened: {error.strerror}.") from error

    async def _revision(self) -> str | None:
        async with self.reading() as connection:
            names = await connection.run_sync(lambda sync: sync.dialect.get_table_names(sync))
            if "alembic_version" not in names:
                return None
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            return found.scalar_one_or_none()

    async def close(self) -> None:
        """Closes every connection."""
        await self._writer.dispose()
        if self._readers is not self._writer:
            await self._readers.dispose()


@asynccontextmanager
async def _translated() -> AsyncGenerator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        raise _storage_error(error) from error
    except exc.TimeoutError as error:
        raise StorageUnavailable("Every connection to the database is taken.") from error
    except OSError as error:
        raise StorageUnavailable("The database cannot be reached.") from error


def _storage_error(error: exc.DBAPIError) -> StorageError:
    cause = error.orig
    message = str(cause)
    if isinstance(cause, sqlite3.Error):
        if "locked" in message or "busy" in message:
            return StorageBusy("The database is held by another process.")
        if "full" in message:
            return StorageFull("The database is full.")
    sqlstate = getattr(cause, "sqlstate", None) or ""
    if sqlstate in _SQLSTATES_TO_TRY_AGAIN:
        return StorageBusy("Two transactions stood in each other's way.")
    if sqlstate == "53100":
        return StorageFull("The database is full.")
    if sqlstate.startswith(_SQLSTATES_OF_LOST_CONNECTIONS):
        return StorageUnavailable("The database server is starting, stopping or overloaded.")
    if sqlstate.startswith(_SQLSTATES_OF_REFUSED_CONNECTIONS):
        return StorageUnavailable(
            "The database server refuses the connection; check the user, password and database "
            "name in SSF_DATABASE_URL."
        )
    if error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError):
        return StorageUnavailable("The database cannot be reached.")
    return StorageError(f"The database refused a statement ({type(cause).__name__}).")


def _sqlite_engine(url: str, *, begin: str, pool_size: int) -> AsyncEngine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("The database must be a file: sqlite:///ssf.db")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"The folder of the database file {path} does not exist.")
    engine = create_async_engine(
        make_url(url).set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: str) -> AsyncEngine:
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    for name in parsed.query:
        if name not in _POSTGRESQL_PARAMETERS:
            raise ValueError(f"{name} is not known; after ? there may be " + _POSTGRESQL_WORDS)
    if "sslmode" in parsed.query:
        # libpq's word for it, which the driver knows as `ssl`.
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return create_async_engine(
        parsed,
        pool_size=_POSTGRESQL_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_CONNECT_TIMEOUT_SECONDS,
        hide_parameters=True,
        connect_args={
            "timeout": _CONNECT_TIMEOUT_SECONDS,
            "command_timeout": _STATEMENT_TIMEOUT_SECONDS,
        },
    )

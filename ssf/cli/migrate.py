"""`ssf migrate`."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from ssf.cli.admin_client import Json
from ssf.cli.endings import EXIT_BAD_CONFIGURATION, EXIT_UNREACHABLE, Ending
from ssf.cli.output import print_json
from ssf.rules.storage_errors import DatabaseInUse, StorageError
from ssf.settings import BadConfiguration, read_settings


def migrate(
    database: Annotated[
        str | None, typer.Option(help="sqlite:///path or postgresql://user:password@host/name")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the tables of the database to what this program needs. Running it again is harmless."""
    from ssf.app import open_database  # noqa: PLC0415 - the other commands need none of it
    from ssf.store.sqlite_lock import SqliteLock  # noqa: PLC0415

    async def run() -> None:
        opened = open_database(settings)
        lock = SqliteLock(opened.url) if opened.is_sqlite else None
        if lock is not None:
            lock.take()
        try:
            await opened.migrate()
        finally:
            await opened.close()
            if lock is not None:
                lock.release()

    try:
        settings = read_settings(
            os.environ, directory=Path.cwd(), overrides={"database_url": database}
        )
        asyncio.run(run())
    except (BadConfiguration, DatabaseInUse) as error:
        raise Ending(str(error), EXIT_BAD_CONFIGURATION) from error
    except StorageError as error:
        raise Ending(str(error), EXIT_UNREACHABLE) from error
    if as_json:
        print_json({"migrated": True})
        return
    print("ssf: the database is up to date")

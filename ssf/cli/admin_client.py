"""Speaks the admin API: to a running server, or to one of our own over the database.

With `--database`, or when no admin token is known, the command opens the database itself and
calls the same API inside its own process, so there is one way to do each thing.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from keys.errors import WrongSecretKey
from keys.secret_box import generate_secret
from ssf.cli.dev_secrets import find_dev_secrets
from ssf.cli.endings import (
    EXIT_BAD_CONFIGURATION,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    Ending,
)
from ssf.clock import SystemClock
from ssf.log import configure_log
from ssf.rules.storage_errors import DatabaseInUse, SchemaOutdated, StorageError
from ssf.settings import BadConfiguration, Settings, read_settings

if TYPE_CHECKING:
    import httpx

_TIMEOUT_SECONDS = 30.0

Url = Annotated[
    str | None,
    typer.Option(envvar="SSF_URL", help="The running server [default: http://127.0.0.1:PORT]"),
]
Database = Annotated[
    str | None, typer.Option(help="Work on this database without a running server.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def call(
    method: str,
    path: str,
    *,
    url: str | None,
    database: str | None,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Calls an operation and returns its JSON, or None when it has none.

    Raises:
        Ending: The server refused, is not there, or the configuration is bad.
    """
    import httpx  # noqa: PLC0415 - `ssf serve` need not wait for it

    try:
        settings = read_settings(
            os.environ, directory=Path.cwd(), overrides={"database_url": database}
        )
    except BadConfiguration as error:
        raise Ending(str(error), EXIT_BAD_CONFIGURATION) from error
    try:
        request = httpx.Request(
            method,
            f"{url or _local_url(settings)}{path}",
            json=body,
            params=None if query is None else {k: v for k, v in query.items() if v is not None},
            headers=headers,
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise Ending(f"that cannot be sent: {error}.", EXIT_USAGE) from error
    token = settings.admin_token
    if database is None and (url is not None or token is not None):
        return _over_the_network(request, None if token is None else token.get_secret_value())
    return asyncio.run(_in_process(request, settings))


def _local_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port}"


def _over_the_network(request: "httpx.Request", token: str | None) -> Any:
    import httpx  # noqa: PLC0415

    if token is None:
        raise Ending("SSF_ADMIN_TOKEN is missing.", EXIT_BAD_CONFIGURATION)
    request.headers["Authorization"] = f"Bearer {token}"
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            return _content(client.send(request))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        server = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        raise Ending(
            f"no server answers at {server}; start one with `ssf serve`, name it with --url, or "
            "use --database to work on the database itself.",
            EXIT_UNREACHABLE,
        ) from error


async def _in_process(request: "httpx.Request", settings: Settings) -> Any:
    # Imported here: half a second that a command to a running server need not wait for.
    import httpx  # noqa: PLC0415

    from ssf.app import build_transmitter, open_database, require_complete  # noqa: PLC0415
    from ssf.store.sqlite_lock import SqliteLock  # noqa: PLC0415

    try:
        complete = _completed(settings)
        require_complete(complete)
        opened = open_database(complete)
        lock = SqliteLock(complete.database_url) if opened.is_sqlite else None
        if lock is not None:
            lock.take()
        try:
            await opened.require_schema()
            transmitter = await build_transmitter(
                complete, database=opened, clock=SystemClock(), log=configure_log("error")
            )
            token = complete.admin_token
            assert token is not None
            request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
            async with httpx.AsyncClient(transport=httpx.ASGITransport(transmitter.app)) as client:
                return _content(await client.send(request))
        finally:
            await opened.close()
            if lock is not None:
                lock.release()
    except DatabaseInUse as error:
        raise Ending(
            f"a server is running on this database (process {error.pid}); set SSF_ADMIN_TOKEN, "
            "and --url when it is not on this machine, to speak to it.",
            EXIT_BAD_CONFIGURATION,
        ) from error
    except (BadConfiguration, SchemaOutdated) as error:
        raise Ending(str(error), EXIT_BAD_CONFIGURATION) from error
    except WrongSecretKey as error:
        raise Ending(
            "SSF_SECRET_KEY is not the one with which this database was encrypted.",
            EXIT_BAD_CONFIGURATION,
        ) from error
    except StorageError as error:
        raise Ending(str(error), EXIT_UNREACHABLE) from error


def _completed(settings: Settings) -> Settings:
    """The settings with what only a server needs filled in, as `ssf serve --dev` would have it."""
    values: dict[str, Any] = {"admin_token": SecretStr(generate_secret())}
    if settings.issuer is None:
        values |= {"issuer": _local_url(settings), "allow_http": True}
    if settings.secret_key is None:
        # Never made here: what a server encrypts with is the server's to say.
        kept = find_dev_secrets(settings.database_url)
        if kept is not None:
            values["secret_key"] = SecretStr(kept.secret_key)
    return settings.model_copy(update=values)


def _content(response: "httpx.Response") -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        said = response.json()
        reason = f"{said['description']} ({said['err']})"
    except (ValueError, KeyError, TypeError):
        reason = f"the server answered {response.status_code}."
    raise Ending(
        reason, EXIT_UNREACHABLE if response.status_code in (502, 503, 504) else EXIT_REFUSED
    )

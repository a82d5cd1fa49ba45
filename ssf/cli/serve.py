"""`ssf serve`."""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ssf.cli.dev_secrets import DevSecrets, load_dev_secrets
from ssf.cli.endings import EXIT_BAD_CONFIGURATION, EXIT_REFUSED, EXIT_UNREACHABLE, Ending
from ssf.log import Log, configure_log
from ssf.rules.storage_errors import DatabaseInUse, SchemaOutdated, StorageError
from ssf.settings import BadConfiguration, Settings, read_settings

_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
_DEV_EGRESS = "127.0.0.0/8,::1/128"


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    database: Annotated[
        str | None, typer.Option(help="sqlite:///path or postgresql://user:password@host/name")
    ] = None,
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            help="For development: http and loopback are allowed, the admin token and the secret "
            "key are made, kept beside the database and printed once.",
        ),
    ] = False,
) -> None:
    """Run the transmitter: HTTP server and push worker in one process."""
    try:
        settings = read_settings(
            os.environ,
            directory=Path.cwd(),
            overrides={"host": host, "port": port, "database_url": database},
        )
        if dev:
            settings = _for_development(settings)
    except BadConfiguration as error:
        raise Ending(str(error), EXIT_BAD_CONFIGURATION) from error
    _run(settings, configure_log(settings.log_level))


def _run(settings: Settings, log: Log) -> None:
    # Imported here: `ssf --help` and the other commands need none of it.
    import uvloop  # noqa: PLC0415

    from keys.errors import WrongSecretKey  # noqa: PLC0415
    from ssf import serve as process  # noqa: PLC0415
    from ssf.app import open_database  # noqa: PLC0415

    async def run() -> None:
        database = open_database(settings)
        await process.serve(settings, database=database, log=log, announce=_announce)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except* (BadConfiguration, DatabaseInUse, SchemaOutdated) as group:
        raise Ending(_words(group), EXIT_BAD_CONFIGURATION) from None
    except* WrongSecretKey:
        raise Ending(
            "SSF_SECRET_KEY is not the one with which this database was encrypted.",
            EXIT_BAD_CONFIGURATION,
        ) from None
    except* StorageError as group:
        raise Ending(_words(group), EXIT_UNREACHABLE) from None
    except* process.SiblingEnded as group:
        raise Ending(_words(group), EXIT_REFUSED) from None


def _announce(url: str) -> None:
    print(f"ssf: listening on {url}", flush=True)


def _words(group: BaseExceptionGroup[Exception]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)


def _for_development(settings: Settings) -> Settings:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    port = settings.port or _free_port()
    values: dict[str, Any] = {"allow_http": True, "port": port}
    if not settings.egress_allow:
        values["egress_allow"] = _DEV_EGRESS
    if settings.issuer is None:
        values["issuer"] = f"http://{host}:{port}"
    if settings.host not in _LOOPBACK_HOSTS:
        print(
            f"ssf: --dev is not for {settings.host}: others can reach http and loopback through it",
            flush=True,
        )
    secrets = load_dev_secrets(settings.database_url)
    if settings.admin_token is None:
        values["admin_token"] = secrets.admin_token
    if settings.secret_key is None:
        values["secret_key"] = secrets.secret_key
    _tell(secrets, settings)
    return Settings(**{**settings.model_dump(exclude_unset=True), **values})


def _free_port() -> int:
    """A port that is free now, since the issuer's URL must be known before the socket is bound."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tell(secrets: DevSecrets, settings: Settings) -> None:
    with suppress(BrokenPipeError):
        if not secrets.is_new:
            print(f"ssf: development secrets are kept in {secrets.path}", flush=True)
            return
        if settings.admin_token is None:
            print(f"ssf: SSF_ADMIN_TOKEN={secrets.admin_token}", flush=True)
        if settings.secret_key is None:
            print(f"ssf: SSF_SECRET_KEY={secrets.secret_key}", flush=True)
        print(f"ssf: these are kept in {secrets.path}; they are not printed again", flush=True)

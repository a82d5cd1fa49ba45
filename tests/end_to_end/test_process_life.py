"""How the server starts, how it ends, and how it refuses to start."""

import asyncio
import json
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, select, text, update

from ssf.store.database import Database
from ssf.store.schema import events, targets
from tests import evil_receiver as evil
from tests.clients import ADMIN_TOKEN, SECRET_KEY
from tests.end_to_end.processes import (
    LISTENING,
    TIMEOUT_SECONDS,
    Ended,
    Server,
    add_push_stream,
    add_receiver,
    add_stream,
    assert_clean,
    environment,
    event,
    pid_in,
    run,
    server_settings,
    serving,
)
from tests.evil_receiver import EvilReceiver, Exchange
from tests.postgres import PostgresServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: bytes) -> str:
    """One is enough where the database does not matter."""
    path = tmp_path / "ssf.db"
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


# ---------------------------------------------------------------- starting for development


async def test_serve_dev_prints_its_secrets_once_and_keeps_them(tmp_path: Path) -> None:
    env = environment(signing_algorithm="ES256")
    async with await Server.start("serve", "--dev", "--port", "0", env=env, cwd=tmp_path) as first:
        await first.listening()
        printed = dict(
            line.removeprefix("ssf: ").split("=", 1)
            for line in first.stdout.all
            if line.startswith("ssf: SSF_")
        )
        assert {*printed} == {"SSF_ADMIN_TOKEN", "SSF_SECRET_KEY"}
        assert await first.terminate() == 0
    assert_clean(first)
    assert not any(secret in first.stderr.text for secret in printed.values())

    kept = tmp_path / "ssf.db.dev-secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text()) == {
        "admin_token": printed["SSF_ADMIN_TOKEN"],
        "secret_key": printed["SSF_SECRET_KEY"],
    }
    assert (tmp_path / "ssf.db").exists()

    async with await Server.start("serve", "--dev", "--port", "0", env=env, cwd=tmp_path) as again:
        await again.listening()
        async with again.client(printed["SSF_ADMIN_TOKEN"]) as http:
            assert (await http.get("/admin/v1/receivers")).status_code == 200
            metadata = (await http.get("/.well-known/ssf-configuration")).json()
        assert metadata["issuer"] == again.url
        assert await again.terminate() == 0
    assert_clean(again)
    assert not any(secret in again.stdout.text for secret in printed.values())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_line_that_says_where_it_listens_can_be_called_at_once_as_it_is(
    tmp_path: Path, sqlite_url: str, host: str
) -> None:
    """It is what scripts wait for."""
    async with serving(tmp_path, sqlite_url, host=host) as server, server.client() as http:
        assert (await http.get("/healthz")).status_code == 200
        assert server.stdout.all == [f"{LISTENING}{server.url}"]
        assert await server.terminate() == 0


# ---------------------------------------------------------------- ending


async def test_f_36_sigterm_drains(database_url: str, tmp_path: Path) -> None:
    """The push under way ends and is recorded, the waiting poll is answered, and exit 0."""
    free = asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        await free.wait()
        await exchange.send(evil.answer_bytes(202))

    async with EvilReceiver() as receiver:
        receiver.on("/events", hold)
        async with serving(tmp_path, database_url, push_attempt_seconds=30) as server:
            owner = await add_receiver(server)
            await add_stream(server, owner, receiver.url("/events"))
            polled = await add_stream(server, owner, None)
            await server.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            await server.emit(2)
            async with server.client(owner.access_token) as http:
                path = f"/ssf/v1/poll/{polled}"
                sets = (await http.post(path, json={"returnImmediately": True})).json()["sets"]
                waiting = asyncio.create_task(http.post(path, json={"ack": [*sets]}))
                # Once they are acknowledged, the poll has come as far as its wait.
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    while await server.deliveries(stream_id=polled, state="waiting"):
                        assert not waiting.done()

                server.send(signal.SIGTERM)
                answer = await waiting
                assert (answer.status_code, answer.json()) == (200, {"sets": {}})
            assert server.running.returncode is None
            free.set()
            assert await server.ended() == 0
        assert "serve.stopped" in server.stderr.text
        assert len(receiver.requests) == 1

        async with serving(tmp_path, database_url) as server:
            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            await server.logged("push.attempt")
            pushed = [d for d in await server.deliveries() if d["stream_id"] != polled]
            assert await server.terminate() == 0
    assert [(d["state"], d["attempts"]) for d in pushed] == [("delivered", 1)] * 2
    assert len(receiver.requests) == 2


async def test_f_36_sigterm_under_load_loses_nothing_that_was_accepted(
    sqlite_url: str, tmp_path: Path
) -> None:
    accepted: list[str] = []
    enough = asyncio.Event()

    async def load(http: httpx.AsyncClient) -> None:
        number = 0
        while True:
            number += 1
            try:
                answer = await http.post("/admin/v1/events", json=event(number))
            except httpx.HTTPError:
                return
            assert answer.status_code == 202, answer.text
            accepted.append(answer.json()["event_id"])
            if len(accepted) == 10:
                enough.set()

    async with serving(tmp_path, sqlite_url) as server, server.client() as http:
        async with asyncio.TaskGroup() as producers:
            for _ in range(3):
                producers.create_task(load(http))
            await enough.wait()
            server.send(signal.SIGTERM)
        assert await server.ended() == 0

    database = Database(sqlite_url)
    async with database.reading() as connection:
        stored = {*(await connection.execute(select(events.c.event_id))).scalars()}
    await database.close()
    assert stored >= {*accepted}


async def test_an_idle_server_ends_with_exit_0_on_sigint_though_connections_are_open(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, sqlite_url) as server, server.client() as http:
        assert (await http.get("/readyz")).status_code == 200  # kept alive, and idle from now on
        server.send(signal.SIGINT)
        assert await server.ended() == 0


async def test_a_second_signal_ends_the_process_at_once(sqlite_url: str, tmp_path: Path) -> None:
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.hang(), evil.answer(202))
        async with serving(tmp_path, sqlite_url, push_attempt_seconds=60) as server:
            await add_push_stream(server, receiver.url("/events"))
            await server.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            server.send(signal.SIGTERM)
            await server.logged("serve.stopping")
            server.send(signal.SIGTERM)
            assert await server.ended() == 1
            await server.logged("serve.stopped_at_once")

        async with serving(tmp_path, sqlite_url) as server:
            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            assert await server.terminate() == 0
    assert receiver.bodies[0].split(b".")[1] == receiver.bodies[1].split(b".")[1]


async def test_when_the_worker_dies_the_process_ends_and_says_so_by_its_exit_code(
    database_url: str, tmp_path: Path
) -> None:
    """Rather than to answer 202 for ever and deliver nothing. A row that makes no sense does it."""
    env = environment(**server_settings(database_url))
    async with await Server.start("serve", env=env, cwd=tmp_path) as server:
        await server.listening()
        await add_push_stream(server, "http://127.0.0.1:1/events")
        database = Database(database_url)
        async with database.transaction() as transaction:
            await transaction.execute(update(targets).values(audience="this is not JSON"))
        await database.close()
        await server.emit(1)
        assert await server.ended() not in (0, -signal.SIGKILL)
        with pytest.raises(httpx.ConnectError):
            async with server.client() as http:
                await http.get("/healthz")


async def test_the_server_survives_a_database_that_is_broken_for_a_while(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        async with serving_in_trouble(tmp_path, sqlite_url) as server:
            await add_push_stream(server, receiver.url("/events"))
            database = Database(sqlite_url)
            for old, new in (("lanes", "lanes_away"), ("lanes_away", "lanes")):
                async with database.transaction() as transaction:
                    await transaction.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
                if new == "lanes_away":
                    await server.logged("worker.storage_trouble")
                    async with server.client() as http:
                        refused = await http.post("/admin/v1/events", json=event(1))
                    assert refused.status_code >= 500
            await database.close()
            await server.emit(2)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            assert await server.terminate() == 0


def serving_in_trouble(cwd: Path, database_url: str) -> Any:
    """As `serving`; but here the log may hold the trace of a request that failed."""
    return _ServingInTrouble(cwd, database_url)


class _ServingInTrouble:
    def __init__(self, cwd: Path, database_url: str) -> None:
        self._start = (cwd, environment(**server_settings(database_url)))

    async def __aenter__(self) -> Server:
        cwd, env = self._start
        self._server = await Server.start("serve", env=env, cwd=cwd)
        return await self._server.listening()

    async def __aexit__(self, *_exception: object) -> None:
        await self._server.kill()


# ---------------------------------------------------------------- refusing to start


def refuses(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.stdout == "", ended
    for word in words:
        assert word in ended.line, ended.line
    for secret in (ADMIN_TOKEN, SECRET_KEY, "a-password"):
        assert secret not in ended.stderr


async def serve_with(cwd: Path, url: str, **changed: str | int | None) -> Ended:
    """`ssf serve` that is expected to end by itself; None leaves a setting out."""
    settings = {
        name: value
        for name, value in {**server_settings(url), **changed}.items()
        if value is not None
    }
    return await run("serve", cwd=cwd, **settings)


BAD_SETTINGS: dict[str, tuple[dict[str, str | int | None], tuple[str, ...]]] = {
    "no issuer": ({"issuer": None}, ("SSF_ISSUER",)),
    "an issuer that is no URL": ({"issuer": "ssf.example.com"}, ("SSF_ISSUER",)),
    "an http issuer": ({"issuer": "http://a.example", "allow_http": "0"}, ("SSF_ISSUER", "https")),
    "an issuer with a query": ({"issuer": "https://a.example/?x=1"}, ("SSF_ISSUER",)),
    "no secret key": ({"secret_key": None}, ("SSF_SECRET_KEY",)),
    "a port that is none": ({"port": "eighty"}, ("SSF_PORT",)),
    "a port out of range": ({"port": 65_536}, ("SSF_PORT",)),
    "a log level that is none": ({"log_level": "loud"}, ("SSF_LOG_LEVEL",)),
    "an unknown variable": ({"isuer": "https://a.example"}, ("SSF_ISUER", "SSF_ISSUER")),
    "a network that is none": ({"egress_allow": "10.0.0.0/99"}, ("SSF_EGRESS_ALLOW",)),
    "a database that is none": ({"database_url": "nonsense"}, ("SSF_DATABASE_URL",)),
    "a database that we do not speak": (
        {"database_url": "mysql://user:a-password@127.0.0.1/ssf"},
        ("SSF_DATABASE_URL",),
    ),
    "a database in no folder": (
        {"database_url": "sqlite:////no/such/folder/ssf.db"},
        ("SSF_DATABASE_URL", "/no/such/folder"),
    ),
    "both a value and a file": ({"admin_token_file": "/dev/null"}, ("SSF_ADMIN_TOKEN_FILE",)),
    "a file that is not there": (
        {"secret_key": None, "secret_key_file": "/no/such/file"},
        ("SSF_SECRET_KEY_FILE", "/no/such/file"),
    ),
}


async def test_f_138_a_bad_setting_is_one_line_and_exit_78(sqlite_url: str, tmp_path: Path) -> None:
    limit = asyncio.Semaphore(4)

    async def attempt(changed: dict[str, str | int | None]) -> Ended:
        async with limit:
            return await serve_with(tmp_path, sqlite_url, **changed)

    ended: dict[str, asyncio.Task[Ended]] = {}
    async with asyncio.TaskGroup() as tasks:
        for case, (changed, _words) in BAD_SETTINGS.items():
            ended[case] = tasks.create_task(attempt(changed))
    for case, (_changed, words) in BAD_SETTINGS.items():
        refuses(ended[case].result(), 78, *words)


async def test_f_138_a_bad_key_in_the_file_is_one_line_and_exit_78(
    sqlite_url: str, tmp_path: Path
) -> None:
    for words, content in {
        "isuer": 'isuer = "https://a.example"',
        "not TOML": "issuer = ",
        "SSF_PORT": 'port = "eighty"',
    }.items():
        folder = tmp_path / words.replace(" ", "-")
        folder.mkdir()
        (folder / "ssf.toml").write_text(content)
        refuses(await serve_with(folder, sqlite_url, port=None), 78, words)


async def test_an_admin_token_that_is_too_short_to_be_a_secret_is_refused(
    sqlite_url: str, tmp_path: Path
) -> None:
    refuses(await serve_with(tmp_path, sqlite_url, admin_token="short"), 78, "SSF_ADMIN_TOKEN")


async def test_f_16_a_second_server_on_one_sqlite_file_is_refused_and_named_the_first(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, sqlite_url) as first:
        second = await serve_with(tmp_path, sqlite_url)
        refuses(second, 78, "in use")
        assert pid_in(second.line) == first.pid
        async with first.client() as http:
            assert (await http.get("/readyz")).status_code == 200
        await first.kill()
    async with serving(tmp_path, sqlite_url) as third:
        assert await third.terminate() == 0


async def test_two_servers_share_a_postgresql_database(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    name = await postgres.new_database(empty=True)
    url = postgres.url_of(name)
    async with serving(tmp_path, url) as one, serving(tmp_path, url) as two:
        owner = await add_receiver(one)
        async with two.client(owner.access_token) as http:
            assert (await http.get("/ssf/v1/streams")).json() == []
            keys = (await http.get("/jwks.json")).json()["keys"]
        assert len(keys) == 1
        assert await one.terminate() == 0
        assert await two.terminate() == 0
    await postgres.drop(name)


async def test_f_132_another_secret_key_on_an_existing_database_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, database_url) as server:
        assert await server.terminate() == 0
    refused = await serve_with(tmp_path, database_url, secret_key="another-" + SECRET_KEY)
    refuses(refused, 78, "SSF_SECRET_KEY")


async def test_a_port_that_is_taken_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses(await serve_with(tmp_path, sqlite_url, port=port), 78, "SSF_PORT", f"{port}")


async def test_tables_of_another_revision_are_refused_with_the_command_to_run(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url)
    async with database.transaction() as transaction:
        await transaction.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    refuses(await serve_with(tmp_path, database_url), 78, "9999", "ssf migrate")


@pytest.mark.parametrize("case", ["nobody listens", "no such database", "a wrong password"])
async def test_a_postgresql_that_cannot_be_used_is_one_line_and_exit_69(
    postgres: PostgresServer, tmp_path: Path, case: str
) -> None:
    url = make_url(postgres.template_url)
    if case == "nobody listens":
        url = make_url("postgresql://user:a-password@127.0.0.1:1/ssf")
    elif case == "no such database":
        url = url.set(database="nowhere")
    else:
        url = url.set(username="nobody", password="a-password")
    refuses(await serve_with(tmp_path, url.render_as_string(hide_password=False)), 69)


async def test_a_file_that_is_no_database_is_one_line_and_exit_69(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all " * 100)
    refuses(await serve_with(tmp_path, f"sqlite:///{path}"), 69)
    assert path.read_text().startswith("not a database")

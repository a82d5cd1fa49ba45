"""The command line: what it prints, and how each command ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ssf.store.database import Database
from tests import evil_receiver as evil
from tests.clients import ADMIN_TOKEN, AUDIENCE, SECRET_KEY, SESSION_REVOKED
from tests.end_to_end.processes import (
    TIMEOUT_SECONDS,
    Ended,
    Server,
    add_stream,
    environment,
    pid_in,
    run,
    server_settings,
    serving,
)
from tests.end_to_end.processes import Owner as Credentials
from tests.evil_receiver import EvilReceiver

pytestmark = pytest.mark.e2e

SUBJECT = json.dumps({"format": "email", "email": "user@example.com"})


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: bytes) -> str:
    path = tmp_path / "ssf.db"
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


def succeeded(ended: Ended) -> Ended:
    assert ended.code == 0, ended
    assert ended.stderr == "", ended
    return ended


def value_of(ended: Ended) -> Any:
    """The one JSON value that `--json` prints."""
    return json.loads(succeeded(ended).stdout)


def refused(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.stdout == "", ended
    for word in words:
        assert word in ended.line, ended.line


# ---------------------------------------------------------------- help


async def test_help_lists_every_command(tmp_path: Path) -> None:
    shown = succeeded(await run("--help", cwd=tmp_path)).stdout
    for command in ("serve", "migrate", "emit", "events", "receivers", "streams", "deliveries"):
        assert f" {command} " in shown


async def test_every_command_has_help_that_names_its_options(tmp_path: Path) -> None:
    expected = {
        ("serve",): ("--host", "--port", "--database", "--dev"),
        ("migrate",): ("--database",),
        ("emit",): ("--subject", "--payload", "--txn", "--json", "--url", "--database"),
        ("receivers",): ("add", "update", "list", "show", "remove"),
        ("receivers", "add"): (
            "--audience",
            "--events",
            "--default-subjects",
            "--min-verification-interval",
            "--max-streams",
            "--json",
        ),
        ("events",): ("list", "show", "add", "remove"),
        ("events", "add"): ("--name", "--schema", "--json", "--url", "--database"),
        ("streams",): ("list", "show", "pause", "resume", "disable", "probe", "subjects"),
        ("streams", "pause"): ("--reason", "--json", "--url", "--database"),
        ("streams", "probe"): ("--every", "--off"),
        ("deliveries", "list"): ("--event", "--stream", "--jti", "--state", "--json"),
        ("deliveries", "show"): ("--stream", "--json"),
    }
    async with asyncio.TaskGroup() as tasks:
        shown = {
            command: tasks.create_task(run(*command, "--help", cwd=tmp_path))
            for command in expected
        }
    for command, words in expected.items():
        text = succeeded(shown[command].result()).stdout
        assert [word for word in words if word not in text] == [], command


# ---------------------------------------------------------------- against a running server


async def test_an_operator_can_do_it_all_from_the_command_line(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Add a receiver, emit an event, see where it went, remove the receiver again."""
    async with EvilReceiver() as receiver, serving(tmp_path, sqlite_url) as server:
        receiver.on("/events", evil.answer(202))

        async def ssf(*arguments: str) -> Ended:
            return await run(*arguments, cwd=tmp_path, url=server.url, admin_token=ADMIN_TOKEN)

        added = value_of(
            await ssf(
                *("receivers", "add", "alice", "--audience", AUDIENCE),
                *("--events", "session-revoked", "--max-streams", "2"),
                *("--min-verification-interval", "0", "--json"),
            )
        )
        assert {"client_id", "client_secret", "access_token"} <= {*added}
        assert (added["name"], added["audience"]) == ("alice", [AUDIENCE])
        assert added["events_supported"] == [SESSION_REVOKED]
        assert (added["max_streams"], added["min_verification_interval"]) == (2, 0)

        credentials = Credentials(added["access_token"], added["client_id"])
        stream_id = await add_stream(server, credentials, receiver.url("/events"))

        emitted = value_of(
            await ssf("emit", "session-revoked", "--subject", SUBJECT, "--txn", "t-1", "--json")
        )
        assert {*emitted} == {"event_id", "matched"}
        assert emitted["matched"] == 1
        await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
        await server.logged("push.attempt")

        async with asyncio.TaskGroup() as tasks:
            asked = {
                name: tasks.create_task(ssf(*arguments))
                for name, arguments in {
                    "receivers": ("receivers", "list", "--json"),
                    "receivers for people": ("receivers", "list"),
                    "one": ("receivers", "show", added["client_id"], "--json"),
                    "one for people": ("receivers", "show", added["client_id"]),
                    "streams": ("streams", "list", "--json"),
                    "streams for people": ("streams", "list"),
                    "deliveries": ("deliveries", "list", "--json"),
                    "deliveries for people": ("deliveries", "list"),
                    "delivered": ("deliveries", "list", "--state", "delivered", "--json"),
                    "dead": ("deliveries", "list", "--state", "dead", "--json"),
                    "of the event": (
                        *("deliveries", "list", "--event", emitted["event_id"]),
                        *("--stream", stream_id, "--json"),
                    ),
                }.items()
            }
        said = {name: task.result() for name, task in asked.items()}
        assert [one["name"] for one in value_of(said["receivers"])["receivers"]] == ["alice"]
        one = value_of(said["one"])
        assert one["client_id"] == added["client_id"]
        assert not {"client_secret", "access_token", "client_secret_hash"} & {*one}
        [stream] = value_of(said["streams"])["streams"]
        assert (stream["stream_id"], stream["status"]) == (stream_id, "enabled")
        assert stream["endpoint_url"] == receiver.url("/events")
        assert "authorization_header" not in json.dumps(stream)
        [delivery] = value_of(said["deliveries"])["deliveries"]
        assert (delivery["event_id"], delivery["state"]) == (emitted["event_id"], "delivered")
        assert (delivery["stream_id"], delivery["attempts"]) == (stream_id, 1)
        assert value_of(said["delivered"])["deliveries"] == [delivery]
        assert value_of(said["of the event"])["deliveries"] == [delivery]
        assert value_of(said["dead"])["deliveries"] == []
        for name in ("receivers for people", "one for people"):
            assert "alice" in succeeded(said[name]).stdout
        assert stream_id in succeeded(said["streams for people"]).stdout
        assert emitted["event_id"] in succeeded(said["deliveries for people"]).stdout

        succeeded(await ssf("receivers", "remove", added["client_id"]))
        assert value_of(await ssf("receivers", "list", "--json"))["receivers"] == []
        refused(await ssf("receivers", "show", added["client_id"]), 1, "not_found")
        assert await server.terminate() == 0


async def test_what_the_server_refuses_ends_with_1_and_says_why(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, sqlite_url) as server:

        async def ssf(*arguments: str) -> Ended:
            return await run(*arguments, cwd=tmp_path, url=server.url, admin_token=ADMIN_TOKEN)

        add = ("receivers", "add", "alice", "--audience", AUDIENCE)
        for_people = succeeded(await ssf(*add)).stdout
        for member in ("client_id: rcv_", "client_secret: ssfs_", "access_token: ssft_"):
            assert member in for_people

        cases: dict[tuple[str, ...], str] = {
            add: "conflict",
            ("receivers", "show", "rcv_nobody"): "not_found",
            ("receivers", "remove", "rcv_nobody"): "not_found",
            ("emit", "no-such-event", "--subject", SUBJECT): "unknown_event_type",
            ("emit", "verification", "--subject", SUBJECT): "invalid_request",
            ("emit", "session-revoked", "--subject", '{"format": "email"}'): "invalid_subject",
            ("emit", "session-revoked", "--subject", "[]"): "invalid_request",
            ("deliveries", "list", "--event", "evt_none"): "not_found",
            ("deliveries", "list", "--state", "lost"): "invalid_request",
            ("receivers", "list", "--limit", "0"): "invalid_request",
            (*add[:2], "bob", "--audience", AUDIENCE, "--events", "no-such"): "unknown_event_type",
        }
        async with asyncio.TaskGroup() as tasks:
            asked = {case: tasks.create_task(ssf(*case)) for case in cases}
        for case, word in cases.items():
            refused(asked[case].result(), 1, word)
        wrong = await run("receivers", "list", cwd=tmp_path, url=server.url, admin_token="x" * 40)
        refused(wrong, 1, "invalid_token")
        assert await server.terminate() == 0


async def test_repeating_an_emit_with_its_key_makes_no_second_event(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, sqlite_url) as server:
        emit = ("emit", "session-revoked", "--subject", SUBJECT, "--idempotency-key", "k", "--json")
        settings = {"url": server.url, "admin_token": ADMIN_TOKEN}
        first = value_of(await run(*emit, cwd=tmp_path, **settings))
        second = value_of(await run(*emit, cwd=tmp_path, **settings))
        other = await run(*emit, "--txn", "another", cwd=tmp_path, **settings)
        assert await server.terminate() == 0
    assert first == second
    refused(other, 1, "idempotency_key_reused")


# ---------------------------------------------------------------- on the database itself


async def test_the_same_commands_work_on_a_database_without_a_server(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"secret_key": SECRET_KEY, "signing_algorithm": "ES256"}

    async def ssf(*arguments: str) -> Ended:
        return await run(*arguments, "--database", database_url, cwd=tmp_path, **settings)

    added = value_of(await ssf("receivers", "add", "alice", "--audience", AUDIENCE, "--json"))
    emitted = value_of(await ssf("emit", "session-revoked", "--subject", SUBJECT, "--json"))
    assert emitted["matched"] == 0
    assert value_of(await ssf("streams", "list", "--json"))["streams"] == []
    assert value_of(await ssf("deliveries", "list", "--json"))["deliveries"] == []
    refused(await ssf("receivers", "show", "rcv_nobody"), 1, "not_found")

    # A server that starts afterwards knows the receiver and its token.
    async with serving(tmp_path, database_url) as server:
        async with server.client(added["access_token"]) as http:
            assert (await http.get("/ssf/v1/streams")).status_code == 200
        assert await server.terminate() == 0
    succeeded(await ssf("receivers", "remove", added["client_id"]))


async def test_an_event_emitted_without_a_server_is_delivered_by_the_next_one(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        async with serving(tmp_path, sqlite_url) as server:
            async with server.client() as http:
                added = await http.post(
                    "/admin/v1/receivers", json={"name": "alice", "audience": AUDIENCE}
                )
            credentials = Credentials(added.json()["access_token"], added.json()["client_id"])
            await add_stream(server, credentials, receiver.url("/events"))
            assert await server.terminate() == 0
        emitted = await run(
            *("emit", "session-revoked", "--subject", SUBJECT, "--database", sqlite_url, "--json"),
            cwd=tmp_path,
            secret_key=SECRET_KEY,
        )
        assert value_of(emitted)["matched"] == 1
        async with serving(tmp_path, sqlite_url) as server:
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            assert await server.terminate() == 0


async def test_a_database_that_a_server_works_on_is_left_to_the_server(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, sqlite_url) as server:
        ended = await run(
            "receivers", "list", "--database", sqlite_url, cwd=tmp_path, secret_key=SECRET_KEY
        )
        refused(ended, 78, "SSF_ADMIN_TOKEN")
        assert pid_in(ended.line) == server.pid
        assert await server.terminate() == 0


async def test_migrate_makes_the_tables_and_may_be_run_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    for _ in range(2):
        succeeded(await run("migrate", "--database", url, cwd=tmp_path))
    database = Database(url)
    await database.require_schema()
    await database.close()


async def test_a_server_for_development_is_found_with_its_secrets(tmp_path: Path) -> None:
    """`ssf serve --dev`, stopped; then a command in the same folder needs no setting at all."""
    env = environment(signing_algorithm="ES256")
    async with await Server.start("serve", "--dev", "--port", "0", env=env, cwd=tmp_path) as server:
        await server.listening()
        assert await server.terminate() == 0
    assert value_of(await run("receivers", "list", "--json", cwd=tmp_path)) == {"receivers": []}


# ---------------------------------------------------------------- how commands end


async def test_usage_errors_end_with_2(tmp_path: Path) -> None:
    cases = [
        ("serve", "--no-such-option"),
        ("no-such-command",),
        ("receivers", "add"),
        ("receivers", "add", "alice"),
        ("emit", "session-revoked", "--subject", "not JSON"),
        ("emit", "session-revoked", "--subject", SUBJECT, "--payload", "{"),
        ("receivers", "list", "--limit", "many"),
    ]
    async with asyncio.TaskGroup() as tasks:
        asked = {
            case: tasks.create_task(
                run(*case, cwd=tmp_path, url="http://127.0.0.1:1", admin_token=ADMIN_TOKEN)
            )
            for case in cases
        }
    for case, task in asked.items():
        ended = task.result()
        assert (ended.code, ended.stdout) == (2, ""), (case, ended)
        assert "Traceback" not in ended.stderr
        assert ended.stderr, case


async def test_no_server_ends_with_69(tmp_path: Path) -> None:
    ended = await run(
        "receivers", "list", cwd=tmp_path, url="http://127.0.0.1:1", admin_token=ADMIN_TOKEN
    )
    refused(ended, 69, "http://127.0.0.1:1", "ssf serve")
    assert ADMIN_TOKEN not in ended.stderr


async def test_no_database_ends_with_69(tmp_path: Path) -> None:
    url = "postgresql://user:a-password@127.0.0.1:1/ssf"
    for command in (("receivers", "list", "--database", url), ("migrate", "--database", url)):
        ended = await run(*command, cwd=tmp_path, secret_key=SECRET_KEY)
        refused(ended, 69)
        assert "a-password" not in ended.stderr


async def test_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    cases: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
        "no token": (("receivers", "list"), {"url": "http://127.0.0.1:1"}, "SSF_ADMIN_TOKEN"),
        "an unknown variable": (("receivers", "list"), {"admin_tokn": "x"}, "SSF_ADMIN_TOKN"),
        "a URL that is none of ours": (
            ("receivers", "list", "--database", "nonsense"),
            {"secret_key": SECRET_KEY},
            "SSF_DATABASE_URL",
        ),
        "no such folder": (
            ("migrate", "--database", "sqlite:////no/such/folder/x.db"),
            {},
            "/no/such/folder",
        ),
    }
    async with asyncio.TaskGroup() as tasks:
        asked = {
            case: tasks.create_task(run(*arguments, cwd=tmp_path, **settings))
            for case, (arguments, settings, _) in cases.items()
        }
    for case, (_, _, word) in cases.items():
        refused(asked[case].result(), 78, word)


async def test_another_secret_key_is_bad_configuration(sqlite_url: str, tmp_path: Path) -> None:
    listing = ("receivers", "list", "--database", sqlite_url)
    succeeded(await run(*listing, cwd=tmp_path, secret_key=SECRET_KEY))
    ended = await run(*listing, cwd=tmp_path, secret_key="another-" + SECRET_KEY)
    refused(ended, 78, "SSF_SECRET_KEY")


async def test_whatever_is_typed_there_is_no_traceback(tmp_path: Path) -> None:
    emit = ("emit", "session-revoked", "--subject")
    cases: dict[str, tuple[str, ...]] = {
        "not a number": (*emit, SUBJECT, "--payload", '{"n": NaN}'),
        "infinity": (*emit, SUBJECT, "--payload", '{"n": 1e999}'),
        "half a character": (*emit, '{"format": "opaque", "id": "\\ud800"}'),
        "nested very deep": (*emit, "[" * 100_000),
        "a number of many digits": (*emit, "9" * 5_000),
        "a key that is no header": (*emit, SUBJECT, "--idempotency-key", "schlüssel"),
        "a key with a line break": (*emit, SUBJECT, "--idempotency-key", "a\nb"),
        "bytes that are no text": (*emit, SUBJECT, "--txn", "\udcff"),
        "a URL with half an address": ("receivers", "list", "--url", "http://[::1"),
        "a URL with a space": ("receivers", "list", "--url", "http://a b"),
        "a URL with a port that is none": ("receivers", "list", "--url", "http://127.0.0.1:x"),
        "a URL without a scheme": ("receivers", "list", "--url", "127.0.0.1:1"),
        "an empty URL": ("receivers", "list", "--url", ""),
    }
    limit = asyncio.Semaphore(4)

    async def typed(*arguments: str) -> Ended:
        async with limit:
            return await run(
                *arguments, cwd=tmp_path, url="http://127.0.0.1:1", admin_token=ADMIN_TOKEN
            )

    async with asyncio.TaskGroup() as tasks:
        asked = {case: tasks.create_task(typed(*arguments)) for case, arguments in cases.items()}
    ended = {case: task.result() for case, task in asked.items()}
    tracebacks = [case for case, one in ended.items() if "Traceback" in one.stderr]
    assert tracebacks == []
    assert {case: one.code for case, one in ended.items() if one.code not in (1, 2, 69, 78)} == {}


@pytest.mark.parametrize(
    "command", [("receivers", "remove", "rcv_nobody"), ("migrate",)], ids=" ".join
)
async def test_every_command_takes_json(
    sqlite_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = await run(
        *command, "--json", "--database", sqlite_url, cwd=tmp_path, secret_key=SECRET_KEY
    )
    assert ended.code in (0, 1), ended.stderr


async def test_settings_may_come_from_files(sqlite_url: str, tmp_path: Path) -> None:
    for name, value in (("token", ADMIN_TOKEN), ("key", SECRET_KEY)):
        (tmp_path / name).write_text(f"{value}\n")
    settings = server_settings(sqlite_url)
    del settings["admin_token"], settings["secret_key"], settings["issuer"]
    (tmp_path / "ssf.toml").write_text('issuer = "https://from-the-file.example.com"\n')
    env = environment(
        **settings,
        admin_token_file=f"{tmp_path / 'token'}",
        secret_key_file=f"{tmp_path / 'key'}",
    )
    async with await Server.start("serve", env=env, cwd=tmp_path) as server:
        await server.listening()
        async with server.client() as http:
            assert (await http.get("/admin/v1/receivers")).status_code == 200
            found = (await http.get("/.well-known/ssf-configuration")).json()
        assert found["issuer"] == "https://from-the-file.example.com"
        assert await server.terminate() == 0

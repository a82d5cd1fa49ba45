"""`ssf receivers update`, over a database of its own and without a server."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ssf.cli.commands import app
from ssf.cli.endings import EXIT_REFUSED, EXIT_USAGE, Ending
from tests.clients import AUDIENCE, CREDENTIAL_CHANGE, ISSUER, SECRET_KEY, SESSION_REVOKED


@pytest.fixture
def database(tmp_path: Path, sqlite_template: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database, in whose folder the commands run."""
    (tmp_path / "ssf.db").write_bytes(sqlite_template)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSF_ISSUER", ISSUER)
    monkeypatch.setenv("SSF_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SSF_SIGNING_ALGORITHM", "ES256")
    return f"sqlite:///{tmp_path / 'ssf.db'}"


def receivers(database: str, *arguments: str) -> Any:
    result = CliRunner().invoke(
        app, ["receivers", *arguments, "--database", database, "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def ending_of(database: str, *arguments: str) -> Ending:
    result = CliRunner().invoke(app, ["receivers", *arguments, "--database", database])
    assert isinstance(result.exception, Ending), result.output
    return result.exception


@pytest.fixture
def client_id(database: str) -> str:
    """A receiver of which no term is the default."""
    added = receivers(
        database, "add", "first", "--audience", AUDIENCE, "--events", "session-revoked",
        "--default-subjects", "NONE", "--min-verification-interval", "5", "--max-streams", "3",
        "--inactivity-timeout", "60", "--legacy-event-uris", "--subject-in-event",
    )  # fmt: skip
    found: str = added["client_id"]
    return found


@pytest.mark.parametrize(
    ("options", "term", "value"),
    [
        (["--name", "second"], "name", "second"),
        (["--audience", "urn:a", "--audience", "urn:b"], "audience", ["urn:a", "urn:b"]),
        (["--events", "credential-change"], "events_supported", [CREDENTIAL_CHANGE]),
        (["--default-subjects", "ALL"], "default_subjects", "ALL"),
        (["--min-verification-interval", "0"], "min_verification_interval", 0),
        (["--max-streams", "9"], "max_streams", 9),
        (["--inactivity-timeout", "61"], "inactivity_timeout", 61),
        (["--no-legacy-event-uris"], "legacy_event_uris", False),
        (["--no-subject-in-event"], "subject_in_event", False),
        (["--reset", "max-streams"], "max_streams", 100),
        (["--reset", "min-verification-interval"], "min_verification_interval", 60),
        (["--reset", "default-subjects"], "default_subjects", "ALL"),
        (["--reset", "inactivity-timeout"], "inactivity_timeout", None),
        (["--reset", "legacy-event-uris"], "legacy_event_uris", False),
        (["--reset", "subject-in-event"], "subject_in_event", None),
    ],
)
def test_update_changes_what_is_named_and_nothing_else(database, client_id, options, term, value):
    before = receivers(database, "show", client_id)
    assert before[term] != value
    assert receivers(database, "update", client_id, *options) == {**before, term: value}
    assert receivers(database, "show", client_id) == {**before, term: value}


def test_update_takes_several_terms_at_once(database, client_id):
    options = ("--name", "second", "--max-streams", "9", "--reset", "events")
    changed = receivers(database, "update", client_id, *options)
    assert (changed["name"], changed["max_streams"]) == ("second", 9)
    assert {SESSION_REVOKED, CREDENTIAL_CHANGE} <= {*changed["events_supported"]}


def test_update_prints_the_terms_for_people(database, client_id):
    result = CliRunner().invoke(
        app, ["receivers", "update", client_id, "--name", "second", "--database", database]
    )
    assert "name: second" in result.output
    assert f"client_id: {client_id}" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name at least one term"),
        (["--reset", "name"], "has no default"),
        (["--reset", "audience"], "has no default"),
        (["--reset", "nonsense"], "nonsense has no default"),
        (["--reset", "max-streams", "--max-streams", "2"], "exclude each other"),
    ],
)
def test_update_that_makes_no_sense_is_a_mistake_of_usage(database, client_id, options, words):
    ending = ending_of(database, "update", client_id, *options)
    assert ending.exit_code == EXIT_USAGE
    assert words in ending.reason


def test_update_says_what_the_server_refuses(database, client_id):
    nobody = ending_of(database, "update", "nobody", "--name", "x")
    assert nobody.exit_code == EXIT_REFUSED
    assert "no such receiver" in nobody.reason
    bad = ending_of(database, "update", client_id, "--max-streams", "0")
    assert bad.exit_code == EXIT_REFUSED
    assert "max_streams" in bad.reason

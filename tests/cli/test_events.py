"""`ssf events`: what it prints, and how it ends; on a database of its own, without a server."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ssf.cli.commands import main
from ssf.protocol.event_types import EVENT_TYPES, PROTOCOL_EVENT_TYPE_URIS
from tests.clients import SECRET_KEY, SESSION_REVOKED

DOOR = "https://example.com/events/door-opened"
SCHEMA = {"required": ["door"], "properties": {"door": {"type": "string"}}}


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    stdout: str
    stderr: str


Ssf = Callable[..., Ended]


@pytest.fixture
def ssf(
    tmp_path: Path,
    sqlite_template: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Ssf:
    """Runs a command over one database."""
    path = tmp_path / "ssf.db"
    path.write_bytes(sqlite_template)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSF_SECRET_KEY", SECRET_KEY)

    def run(*arguments: str) -> Ended:
        command = ["ssf", *arguments, "--database", f"sqlite:///{path}"]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        said = capsys.readouterr()
        code = ended.value.code
        return Ended(code=code if isinstance(code, int) else 0, stdout=said.out, stderr=said.err)

    return run


def done(ended: Ended) -> str:
    assert (ended.code, ended.stderr) == (0, ""), ended
    return ended.stdout


def value_of(ended: Ended) -> Any:
    return json.loads(done(ended))


def example_in(text: str) -> list[str]:
    """The arguments of the command that `ssf events show` offers."""
    (line,) = [one for one in text.splitlines() if one.startswith("example: ")]
    program, *arguments = shlex.split(line.removeprefix("example: "))
    assert program == "ssf"
    return arguments


def test_the_list_names_every_event_type(ssf: Ssf):
    page = value_of(ssf("events", "list", "--json"))
    assert [one["uri"] for one in page["event_types"][:2]] == list(PROTOCOL_EVENT_TYPE_URIS)
    text = done(ssf("events", "list"))
    for one in page["event_types"]:
        assert [line for line in text.splitlines() if line.split()[:1] == [one["name"]]], one
        assert one["uri"] in text.split()
    assert "(deprecated)" in text


def test_the_list_comes_in_pages(ssf: Ssf):
    text = done(ssf("events", "list", "--limit", "3"))
    assert "session-revoked" in text
    assert "There is more: --after 3" in text
    assert "session-revoked" not in done(ssf("events", "list", "--after", "3"))
    assert done(ssf("events", "list", "--after", "5000")) == ""


@pytest.mark.parametrize(
    "name",
    ["session-revoked", "credential-change", "identifier-changed", "prov:patch:full", SESSION_REVOKED],
)  # fmt: skip
def test_an_event_type_is_shown_with_an_example_that_can_be_emitted(ssf: Ssf, name: str):
    text = done(ssf("events", "show", name))
    shown = value_of(ssf("events", "show", name, "--json"))
    assert shown["uri"] in EVENT_TYPES
    for line in (f"uri: {shown['uri']}", f"name: {shown['name']}", f"family: {shown['family']}"):
        assert line in text.splitlines()
    for member in shown["members"]:
        assert member["name"] in text
    assert value_of(ssf(*example_in(text), "--json"))["matched"] == 0


def test_an_event_of_the_transmitters_own_has_no_example(ssf: Ssf):
    text = done(ssf("events", "show", "verification"))
    assert "example:" not in text
    assert "cannot be emitted" in text


@pytest.mark.parametrize("name", ["door-opened", DOOR])
def test_a_type_of_ones_own_is_registered_shown_emitted_and_removed(ssf: Ssf, name: str):
    example = {"door": 'it\'s "A" $HOME'}
    schema = json.dumps({**SCHEMA, "examples": [example]})
    added = value_of(ssf("events", "add", DOOR, "--schema", schema, "--json"))
    assert (added["uri"], added["name"], added["family"]) == (DOOR, "door-opened", "custom")
    text = done(ssf("events", "show", name))
    arguments = example_in(text)
    assert json.loads(arguments[arguments.index("--payload") + 1]) == example
    assert "event_id: " in done(ssf(*arguments))
    assert value_of(ssf("events", "remove", name, "--json")) == {"removed": name}
    assert ssf(*arguments).code == 1


def test_a_schema_may_lie_in_a_file(ssf: Ssf, tmp_path: Path):
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    text = done(ssf("events", "add", DOOR, "--name", "door", "--schema", "schema.json"))
    assert text.splitlines() == [f"uri: {DOOR}", "name: door"]
    shown = done(ssf("events", "show", "door"))
    assert "No example is known" in shown
    assert value_of(ssf("events", "show", "door", "--json"))["schema"] == SCHEMA
    assert done(ssf("events", "remove", "door")) == "ssf: door is removed\n"


def test_what_cannot_be_read_as_a_schema_is_a_matter_of_usage(ssf: Ssf, tmp_path: Path):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    for schema in ("{", "none.json", "broken.json", "binary.json", ".", "\x00"):
        ended = ssf("events", "add", DOOR, "--schema", schema)
        assert ended.code == 2, schema
        assert "--schema" in ended.stderr, schema
        assert ended.stderr.count("\n") == 1, ended.stderr


def test_what_the_server_refuses_is_said_in_one_line(ssf: Ssf):
    for arguments, word in (
        (("add", "door-opened"), "uri"),
        (("add", SESSION_REVOKED), "specifications"),
        (("add", DOOR, "--name", "a:b"), "name"),
        (("add", DOOR, "--schema", '{"$ref":"http://e.com"}'), "$ref"),
        (("add", DOOR, "--schema", "{" + '"not":{' * 40 + "}" * 41), "deep"),
        (("remove", "session-revoked"), "stays"),
        (("remove", "door-opened"), "door-opened"),
        (("show", "door-opened"), "door-opened"),
        (("show", "token-revoked"), "SSF_OAUTH_EVENTS"),
    ):
        ended = ssf("events", *arguments)
        assert (ended.code, ended.stdout) == (1, ""), arguments
        assert word in ended.stderr, arguments
        assert ended.stderr.startswith("ssf: ")
        assert ended.stderr.count("\n") == 1, ended.stderr

"""The reference is complete: every setting, command, route and limit is in it, and is true."""

import re
from pathlib import Path

import pytest
import typer

from ssf.api import poll_body, query, request_body, verification_body
from ssf.api.operations import AnyOperation
from ssf.cli.commands import app
from ssf.delivery import poll
from ssf.rules import event_schemas, event_types
from ssf.settings import Settings
from tests.clients import TransmitterUnderTest

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs/reference.md").read_text()
LIMITS = (ROOT / "docs/limits.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_reference_with_its_default(name: str) -> None:
    row = re.search(rf"\| `SSF_{name.upper()}` \| (.*?) \|", REFERENCE)
    assert row, name
    default = Settings.model_fields[name].default
    words = {"None": "none", "": "empty", "False": "`false`", "True": "`true`"}
    shown = words.get(str(default), f"`{default}`")
    assert row[1].startswith(shown)


def test_the_reference_names_no_setting_that_is_none() -> None:
    named = set(re.findall(r"^\| `SSF_([A-Z_]+)` \|", REFERENCE, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def _commands(group: typer.main.Typer, prefix: str) -> list[str]:
    own = [f"{prefix} {command.name}" for command in group.registered_commands]
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        own += _commands(sub.typer_instance, f"{prefix} {sub.name}")
    return own


@pytest.mark.parametrize("command", _commands(app, "ssf"))
def test_every_command_is_in_the_reference(command: str) -> None:
    assert f"`{command}" in REFERENCE


async def test_every_operation_is_in_the_reference(transmitter: TransmitterUnderTest) -> None:
    rows = re.findall(r"^\| ([A-Z, ]+) (`/.*?) \|", REFERENCE, re.MULTILINE)
    documented = {
        (method.strip(), path.split("[")[0].split("?")[0])
        for methods, paths in rows
        for method in methods.split(",")
        for path in re.findall(r"`([^`]+)`", paths)
    }
    offered = {(_method(o), o.path) for o in transmitter.built.operations}
    assert documented == offered


def _method(operation: AnyOperation) -> str:
    return operation.method


def test_every_error_code_of_the_code_is_in_the_reference() -> None:
    folders = ("ssf/rules", "ssf/api", "ssf/protocol", "keys")
    sources = "".join(p.read_text() for f in folders for p in (ROOT / f).glob("*.py"))
    codes = set(re.findall(r'\bcode(?:: [A-Za-z\[\]]+)? ?= ?"([a-z_]+)"', sources))
    internal = {"refused", "already_there", "lease_lost", "schema_outdated", "database_in_use"}
    internal |= {"invalid_metadata", "invalid_issuer", "invalid_audience", "invalid_set"}
    missing = {code for code in codes - internal if f"`{code}`" not in REFERENCE}
    assert codes
    assert not missing


@pytest.mark.parametrize(
    "number",
    [
        request_body.MAX_BODY_BYTES,
        request_body.MAX_EVENT_BODY_BYTES,
        poll_body.MAX_ACKS,
        poll.MAX_EVENTS,
        query.MAX_PAGE,
        verification_body.MAX_STATE_CHARS,
    ],
)
def test_the_limits_are_those_of_the_code(number: int) -> None:
    assert f"{number:,}".replace(",", " ") in LIMITS


def test_the_limits_of_event_types_are_those_of_the_code() -> None:
    for row in (
        f"| event types of your own | {event_types.MAX_CUSTOM_EVENT_TYPES} |",
        f"| 1 024, {event_types.MAX_NAME_CHARS} characters |",
        f"| {event_schemas.MAX_SCHEMA_BYTES:_} bytes, ".replace("_", " "),
        f", {event_schemas.MAX_PATTERNS} regular expressions",
        f"are held against | {event_schemas.MAX_SUBSCHEMAS_PER_VALUE:_} |".replace("_", " "),
    ):
        assert row in LIMITS


def test_the_readme_names_the_commands_that_are_run() -> None:
    for command in ("make demo", "make check", "make test"):
        assert re.search(rf"^{command}$", README, re.MULTILINE)

"""`ssf events`: which event types there are, and those of your own."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from keys.errors import InvalidJson
from keys.strict_json import loads
from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.endings import EXIT_USAGE, Ending
from ssf.cli.output import print_json, print_page_end, print_table

app = typer.Typer(help="Event types, of the specifications and your own.", no_args_is_help=True)

_PATH = "/admin/v1/event-types"
_MAX_SCHEMA_DEPTH = 64
"""Deeper than any that the server takes, so that it is the one to say so."""

EventType = Annotated[str, typer.Argument(metavar="NAME|URI", help="Its short name or URI.")]


@app.command("list")
def list_event_types(
    url: Url = None,
    database: Database = None,
    after: Annotated[str | None, typer.Option(help="Begin after this page's `next`.")] = None,
    limit: Annotated[int, typer.Option(help="Most event types to print.")] = 200,
    as_json: Json = False,
) -> None:
    """List event types."""
    query = {"after": after, "limit": limit}
    page = call("GET", _PATH, url=url, database=database, query=query)
    if as_json:
        print_json(page)
        return
    # Lines and no table, which would cut the URIs that somebody wants to copy.
    found = page["event_types"]
    names, families = ([_cell(one, column) for one in found] for column in ("name", "family"))
    for one, name, family in zip(found, names, families, strict=True):
        print(name.ljust(_longest(names)), family.ljust(_longest(families)), one["uri"])
    print_page_end(page)


@app.command("show")
def show(
    event_type: EventType, url: Url = None, database: Database = None, as_json: Json = False
) -> None:
    """Show an event type: its members, and a command that emits a valid example."""
    shown = call("GET", _PATH, url=url, database=database, query={"type": event_type})
    if as_json:
        print_json(shown)
        return
    print(f"uri: {shown['uri']}")
    print(f"name: {shown['name']}")
    print(f"family: {shown['family']}{' (deprecated)' if shown['deprecated'] else ''}")
    print(f"subject: {' or '.join(shown['subject_formats'] or ['any'])}")
    if shown["members"]:
        rows = [
            (one["name"], "required" if one["required"] else "optional", one["type"])
            for one in shown["members"]
        ]
        print_table(("member", "", "type"), rows)
    else:
        print("members: none")
    print(_example(shown))


@app.command("add")
def add(
    uri: Annotated[str, typer.Argument(metavar="URI", help="An absolute URI of your own.")],
    name: Annotated[
        str | None, typer.Option(help="Short name [default: the last part of the URI].")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|JSON", help="JSON Schema (2020-12) of the payload [default: any object]."
        ),
    ] = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Register an event type of your own."""
    body: dict[str, Any] = {"uri": uri}
    if name is not None:
        body["name"] = name
    if schema is not None:
        body["schema"] = _schema(schema)
    added = call("POST", _PATH, url=url, database=database, body=body)
    if as_json:
        print_json(added)
        return
    print(f"uri: {added['uri']}")
    print(f"name: {added['name']}")


@app.command("remove")
def remove(
    event_type: EventType, url: Url = None, database: Database = None, as_json: Json = False
) -> None:
    """Remove an event type of your own; what was emitted before is still delivered."""
    call("DELETE", _PATH, url=url, database=database, query={"type": event_type})
    if as_json:
        print_json({"removed": event_type})
        return
    print(f"ssf: {event_type} is removed")


def _cell(shown: Mapping[str, Any], column: str) -> str:
    is_old = column == "family" and shown["deprecated"]
    return f"{shown[column]} (deprecated)" if is_old else shown[column]


def _longest(cells: Sequence[str]) -> int:
    return max(map(len, cells))


def _example(shown: Mapping[str, Any]) -> str:
    if not shown["emitted_by_producers"]:
        return "The transmitter makes these events itself; they cannot be emitted."
    if shown["example"] is None:
        return "No example is known: a schema may have one in its `examples`."
    words = ["ssf", "emit", shown["name"], "--subject", _json(shown["example_subject"])]
    if shown["example"]:
        words += ["--payload", _json(shown["example"])]
    return f"example: {shlex.join(words)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _schema(text_or_path: str) -> Any:
    """The schema itself, when it begins as JSON objects do, or the content of a file."""
    text = text_or_path
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text_or_path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Ending(
                f"--schema: the file {text_or_path} cannot be read as UTF-8 text.", EXIT_USAGE
            ) from error
    try:
        return loads(text, max_depth=_MAX_SCHEMA_DEPTH)
    except InvalidJson as error:
        raise Ending(f"--schema cannot be read: {error.reason}.", EXIT_USAGE) from error

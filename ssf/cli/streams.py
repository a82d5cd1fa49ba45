"""`ssf streams`."""

import json
from typing import Annotated, Any

import typer

from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.endings import EXIT_USAGE, Ending
from ssf.cli.output import print_json, print_members, print_page_end, print_table

app = typer.Typer(help="Streams, of all receivers.", no_args_is_help=True)

After = Annotated[str | None, typer.Option(help="Begin after this page's `next`.")]
Limit = Annotated[int, typer.Option(help="Most rows to print.")]
StreamId = Annotated[str, typer.Argument(help="The stream's stream_id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the receiver to read.")]


@app.command("list")
def list_streams(
    url: Url = None,
    database: Database = None,
    after: After = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List streams."""
    query = {"after": after, "limit": limit}
    page = call("GET", "/admin/v1/streams", url=url, database=database, query=query)
    if as_json:
        print_json(page)
        return
    columns = ("stream_id", "client_id", "status", "method", "endpoint_url")
    print_table(columns, [[stream[c] or "" for c in columns] for stream in page["streams"]])
    print_page_end(page)


@app.command("show")
def show(
    stream_id: StreamId, url: Url = None, database: Database = None, as_json: Json = False
) -> None:
    """Show one stream and how it does: what waits, what was dropped, its last verification."""
    _print_stream(
        call("GET", f"/admin/v1/streams/{stream_id}", url=url, database=database), as_json=as_json
    )


@app.command("pause")
def pause(
    stream_id: StreamId,
    reason: Reason = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Pause a stream: its receiver is told, and what comes is held for it."""
    _set_status(stream_id, "paused", reason, url, database, as_json=as_json)


@app.command("resume")
def resume(
    stream_id: StreamId,
    reason: Reason = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Enable a stream again: its receiver is told, and what was held is sent in order."""
    _set_status(stream_id, "enabled", reason, url, database, as_json=as_json)


@app.command("disable")
def disable(
    stream_id: StreamId,
    reason: Reason = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Disable a stream: its receiver is told, and what waits and what comes is dropped."""
    _set_status(stream_id, "disabled", reason, url, database, as_json=as_json)


@app.command("probe")
def probe(
    stream_id: StreamId,
    every: Annotated[
        int | None, typer.Option(help="Seconds between two verification events, 10 or more.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="No more of them.")] = False,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Verify a stream unasked, again and again, to see that it works."""
    if (every is None) is not off:
        raise Ending("Say either --every SECONDS or --off.", EXIT_USAGE)
    changed = call(
        "PATCH",
        f"/admin/v1/streams/{stream_id}",
        url=url,
        database=database,
        body={"verification_probe_interval": every},
    )
    _print_stream(changed, as_json=as_json)


@app.command("subjects")
def subjects(
    stream_id: StreamId,
    url: Url = None,
    database: Database = None,
    after: After = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the subjects that the receiver added to a stream or removed from it."""
    page = call(
        "GET",
        f"/admin/v1/streams/{stream_id}/subjects",
        url=url,
        database=database,
        query={"after": after, "limit": limit},
    )
    if as_json:
        print_json(page)
        return
    print_table(
        ("subject", "added", "verified", "removal_at"),
        [
            (
                json.dumps(one["subject"], ensure_ascii=False),
                str(one["added"]),
                str(one["verified"]),
                "" if one["removal_at"] is None else str(one["removal_at"]),
            )
            for one in page["subjects"]
        ],
    )
    print_page_end(page)


def _set_status(
    stream_id: str,
    status: str,
    reason: str | None,
    url: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    body = {"status": status} if reason is None else {"status": status, "reason": reason}
    changed = call(
        "POST", f"/admin/v1/streams/{stream_id}/status", url=url, database=database, body=body
    )
    if as_json:
        print_json(changed)
        return
    print(f"ssf: {stream_id} is {changed['status']}")


def _print_stream(stream: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(stream)
        return
    health = stream.pop("health")
    verification = health.pop("verification")
    print_members(stream)
    print_members(health)
    print_members({f"verification {name}": value for name, value in verification.items()})

"""`ssf deliveries`."""

import json
from typing import Annotated

import typer

from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.output import print_json, print_members, print_page_end, print_table

app = typer.Typer(help="Deliveries: events on their way.", no_args_is_help=True)

After = Annotated[str | None, typer.Option(help="Begin after this page's `next`.")]
Limit = Annotated[int, typer.Option(help="Most rows to print.")]


@app.command("list")
def list_deliveries(
    event: Annotated[str | None, typer.Option(help="Of this event_id only.")] = None,
    stream: Annotated[str | None, typer.Option(help="Of this stream_id only.")] = None,
    jti: Annotated[str | None, typer.Option(help="The one with this jti only.")] = None,
    state: Annotated[
        str | None, typer.Option(help="waiting, delivered, dead or dropped only.")
    ] = None,
    url: Url = None,
    database: Database = None,
    after: After = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List deliveries, oldest first."""
    query = {
        "event_id": event,
        "stream_id": stream,
        "jti": jti,
        "state": state,
        "after": after,
        "limit": limit,
    }
    page = call("GET", "/admin/v1/deliveries", url=url, database=database, query=query)
    if as_json:
        print_json(page)
        return
    columns = ("event_id", "stream_id", "state", "attempts", "last_outcome")
    rows = [[str(d[c]) if d[c] is not None else "" for c in columns] for d in page["deliveries"]]
    print_table(columns, rows)
    print_page_end(page)


@app.command("show")
def show(
    event: Annotated[str, typer.Argument(help="The event_id.")],
    stream: Annotated[str | None, typer.Option(help="On this stream_id only.")] = None,
    url: Url = None,
    database: Database = None,
    after: After = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Say why an event was or was not delivered, stream by stream."""
    explained = call(
        "GET",
        f"/admin/v1/events/{event}",
        url=url,
        database=database,
        query={"stream_id": stream, "after": after, "limit": limit},
    )
    if as_json:
        print_json(explained)
        return
    print_members({name: explained[name] for name in ("event_id", "event_type", "txn")})
    print_table(
        ("stream_id", "verdict", "why", "matched subject", "description"),
        [
            (
                one["stream_id"],
                one["verdict"],
                one["why"],
                ""
                if one["matched_subject"] is None
                else json.dumps(one["matched_subject"]["subject"], ensure_ascii=False),
                one["description"],
            )
            for one in explained["streams"]
        ],
    )
    print_page_end(explained)

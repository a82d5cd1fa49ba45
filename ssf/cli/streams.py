"""`ssf streams` and `ssf deliveries`."""

from typing import Annotated

import typer

from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.output import print_json, print_page_end, print_table

app = typer.Typer(help="Streams, of all receivers.", no_args_is_help=True)
deliveries_app = typer.Typer(help="Deliveries: events on their way.", no_args_is_help=True)

After = Annotated[str | None, typer.Option(help="Begin after this page's `next`.")]
Limit = Annotated[int, typer.Option(help="Most rows to print.")]


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


@deliveries_app.command("list")
def list_deliveries(
    event: Annotated[str | None, typer.Option(help="Of this event_id only.")] = None,
    stream: Annotated[str | None, typer.Option(help="Of this stream_id only.")] = None,
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

"""`ssf receivers`."""

from collections.abc import Collection
from typing import Annotated, Any

import typer

from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.endings import EXIT_USAGE, Ending
from ssf.cli.output import print_json, print_members, print_page_end, print_table

app = typer.Typer(help="Receivers: the parties that ask for streams.", no_args_is_help=True)

ClientId = Annotated[str, typer.Argument(help="The receiver's client_id.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Your word for it; unique.")],
    audience: Annotated[
        list[str], typer.Option(help="The `aud` of its SETs; may be given more than once.")
    ],
    events: Annotated[
        list[str] | None,
        typer.Option(help="Event types on offer to it [default: all]; may be repeated."),
    ] = None,
    default_subjects: Annotated[
        str | None,
        typer.Option(
            help="ALL: its streams hold every subject; NONE: those that it adds. "
            "[default: SSF_DEFAULT_SUBJECTS]"
        ),
    ] = None,
    min_verification_interval: Annotated[
        int | None, typer.Option(help="Seconds between verification requests.")
    ] = None,
    max_streams: Annotated[int | None, typer.Option(help="How many streams it may have.")] = None,
    inactivity_timeout: Annotated[
        int | None, typer.Option(help="Seconds after which an unused stream is paused.")
    ] = None,
    legacy_event_uris: Annotated[
        bool,
        typer.Option(
            "--legacy-event-uris", help="Verification and stream-updated carry the URIs of 2021."
        ),
    ] = False,
    subject_in_event: Annotated[
        bool | None,
        typer.Option(
            "--subject-in-event/--no-subject-in-event",
            help="Repeat the subject inside of CAEP and RISC events "
            "[default: on streams of the older profile].",
        ),
    ] = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Add a receiver and print its credentials, this once."""
    body = {
        "name": name,
        "audience": audience,
        "events_supported": events or None,
        "default_subjects": default_subjects,
        "min_verification_interval": min_verification_interval,
        "max_streams": max_streams,
        "inactivity_timeout": inactivity_timeout,
        "legacy_event_uris": legacy_event_uris,
        "subject_in_event": subject_in_event,
    }
    added = call("POST", "/admin/v1/receivers", url=url, database=database, body=body)
    if as_json:
        print_json(added)
        return
    for member in ("client_id", "client_secret", "access_token"):
        print(f"{member}: {added[member]}")
    print("The secret and the token are not shown again.")


@app.command("update")
def update(
    client_id: ClientId,
    name: Annotated[str | None, typer.Option(help="Your word for it; unique.")] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option(help="The `aud` of its SETs; may be given more than once."),
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option(help="Event types on offer to it; may be repeated.")
    ] = None,
    default_subjects: Annotated[
        str | None,
        typer.Option(help="ALL: its streams hold every subject; NONE: those that it adds."),
    ] = None,
    min_verification_interval: Annotated[
        int | None, typer.Option(help="Seconds between verification requests.")
    ] = None,
    max_streams: Annotated[int | None, typer.Option(help="How many streams it may have.")] = None,
    inactivity_timeout: Annotated[
        int | None, typer.Option(help="Seconds after which an unused stream is paused.")
    ] = None,
    legacy_event_uris: Annotated[
        bool | None,
        typer.Option(
            "--legacy-event-uris/--no-legacy-event-uris",
            help="Verification and stream-updated carry the URIs of 2021.",
        ),
    ] = None,
    subject_in_event: Annotated[
        bool | None,
        typer.Option(
            "--subject-in-event/--no-subject-in-event",
            help="Repeat the subject inside of CAEP and RISC events.",
        ),
    ] = None,
    reset: Annotated[
        list[str] | None,
        typer.Option(
            help="Put a term back to its default, by its option's name, such as events or "
            "max-streams; may be repeated."
        ),
    ] = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Change what is agreed with a receiver; its streams follow. What is not named stays."""
    said = {
        "name": name,
        "audience": audience or None,
        "events_supported": events or None,
        "default_subjects": default_subjects,
        "min_verification_interval": min_verification_interval,
        "max_streams": max_streams,
        "inactivity_timeout": inactivity_timeout,
        "legacy_event_uris": legacy_event_uris,
        "subject_in_event": subject_in_event,
    }
    body: dict[str, Any] = {term: value for term, value in said.items() if value is not None}
    for option in reset or ():
        term = _term(option, said)
        if term in body:
            raise Ending(f"--reset {option} and --{option} exclude each other.", EXIT_USAGE)
        body[term] = None
    if not body:
        raise Ending("name at least one term to change.", EXIT_USAGE)
    path = f"/admin/v1/receivers/{client_id}"
    _print_receiver(call("PATCH", path, url=url, database=database, body=body), as_json)


def _term(option: str, known: Collection[str]) -> str:
    word = option.removeprefix("--").replace("-", "_")
    term = "events_supported" if word == "events" else word
    if term not in known or term in {"name", "audience"}:
        raise Ending(f"--reset: {option} has no default to go back to.", EXIT_USAGE)
    return term


@app.command("list")
def list_receivers(
    url: Url = None,
    database: Database = None,
    after: Annotated[str | None, typer.Option(help="Begin after this page's `next`.")] = None,
    limit: Annotated[int, typer.Option(help="Most receivers to print.")] = 50,
    as_json: Json = False,
) -> None:
    """List receivers."""
    query = {"after": after, "limit": limit}
    page = call("GET", "/admin/v1/receivers", url=url, database=database, query=query)
    if as_json:
        print_json(page)
        return
    print_table(
        ("client_id", "name", "audience"),
        [(r["client_id"], r["name"], ", ".join(r["audience"])) for r in page["receivers"]],
    )
    print_page_end(page)


@app.command("show")
def show(
    client_id: ClientId, url: Url = None, database: Database = None, as_json: Json = False
) -> None:
    """Show one receiver, without its secrets."""
    path = f"/admin/v1/receivers/{client_id}"
    _print_receiver(call("GET", path, url=url, database=database), as_json)


def _print_receiver(receiver: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(receiver)
        return
    print_members(receiver)


@app.command("remove")
def remove(
    client_id: ClientId, url: Url = None, database: Database = None, as_json: Json = False
) -> None:
    """Remove a receiver with its tokens and streams; what waits for it is dropped."""
    call("DELETE", f"/admin/v1/receivers/{client_id}", url=url, database=database)
    if as_json:
        print_json({"removed": client_id})
        return
    print(f"ssf: {client_id} is removed")

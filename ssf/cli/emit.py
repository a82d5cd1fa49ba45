"""`ssf emit`."""

from typing import Annotated, Any

import typer

from keys.errors import InvalidJson
from keys.strict_json import loads
from ssf.cli.admin_client import Database, Json, Url, call
from ssf.cli.endings import EXIT_USAGE, Ending
from ssf.cli.output import print_json


def emit(
    event: Annotated[str, typer.Argument(help="Event type: a URI, or session-revoked and so on.")],
    subject: Annotated[
        str, typer.Option(help='JSON: {"format": "email", "email": "u@example.com"}')
    ],
    payload: Annotated[str, typer.Option(help="JSON object: the event's members.")] = "{}",
    txn: Annotated[str | None, typer.Option(help="Your name for the cause.")] = None,
    audience: Annotated[
        list[str] | None, typer.Option(help="Only streams with this `aud`; may be repeated.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeating the command with it makes no second event.")
    ] = None,
    url: Url = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Emit a security event; returns once it is stored for every stream that wants it."""
    body: dict[str, Any] = {
        "event_type": event,
        "subject": _json(subject, "--subject"),
        "payload": _json(payload, "--payload"),
    }
    if txn is not None:
        body["txn"] = txn
    if audience:
        body["audience"] = audience
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    emitted = call(
        "POST", "/admin/v1/events", url=url, database=database, body=body, headers=headers
    )
    if as_json:
        print_json(emitted)
        return
    print(f"event_id: {emitted['event_id']}")
    print(f"matched: {emitted['matched']}")


def _json(text: str, option: str) -> Any:
    try:
        return loads(text)
    except InvalidJson as error:
        raise Ending(f"{option} cannot be read: {error.reason}.", EXIT_USAGE) from error

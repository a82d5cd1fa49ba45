"""All commands together, and how each ends: 0 ok, 1 refused or failed, 2 usage, 69, 78."""

import sys

import typer

from ssf.cli import deliveries, emit, events, migrate, receivers, serve, streams
from ssf.cli.endings import Ending

app = typer.Typer(
    name="ssf",
    help="A Shared Signals transmitter: security events in, verified Security Event Tokens out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("emit")(emit.emit)
app.add_typer(events.app, name="events")
app.add_typer(receivers.app, name="receivers")
app.add_typer(streams.app, name="streams")
app.add_typer(deliveries.app, name="deliveries")


def main() -> None:
    """Runs the command; an ending that has a reason is one line on standard error."""
    try:
        app()
    except Ending as ending:
        print(f"ssf: {ending.reason}", file=sys.stderr)
        sys.exit(ending.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)

"""What commands print."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ssf.protocol.errors import printable

_MAX_CELL_CHARS = 300


def print_json(value: Any) -> None:
    """Prints one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table for people."""
    # Imported here: `ssf serve` prints none and need not wait for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns)
    for row in rows:
        # Text, since a receiver's words in square brackets are no markup of ours.
        table.add_row(*(Text(printable(cell, _MAX_CELL_CHARS)) for cell in row))
    Console().print(table)


def print_members(members: Mapping[str, Any]) -> None:
    """Prints one thing, a line per member; a list in one line, None as nothing."""
    for name, value in members.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name}: {'' if shown is None else shown}")


def print_page_end(page: Mapping[str, Any]) -> None:
    """Says how to see what follows a page; nothing when nothing does."""
    if "next" in page:
        print(f"There is more: --after {page['next']}")

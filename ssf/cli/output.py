"""What commands print."""

import json
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Prints one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table for people."""
    # Imported here: `ssf serve` prints none and need not wait for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)

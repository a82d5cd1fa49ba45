"""Reads the examples of the specifications from tests/vectors."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent.parent / "vectors"


def load_vectors(name: str) -> list[dict[str, Any]]:
    """Return the vectors of one file; each names itself, the file names its source."""
    document = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert document["source"]
    return list(document["vectors"])

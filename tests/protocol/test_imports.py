"""The words on the wire cost nothing to import: standard library only, no I/O."""

import ast
import sys
from pathlib import Path

import pytest

import ssf.protocol

FILES = sorted(Path(ssf.protocol.__file__).parent.glob("*.py"))
NO_IO = {"asyncio", "http", "io", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "time"}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_only_its_siblings_and_the_standard_library_without_io(path):
    for module in imported_modules(path):
        top = module.partition(".")[0]
        assert module.startswith("ssf.protocol") or top in sys.stdlib_module_names - NO_IO, module

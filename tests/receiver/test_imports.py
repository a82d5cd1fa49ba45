"""A relying party that only verifies SETs pays for nothing else."""

import subprocess
import sys

import receiver

UNWANTED = {
    "starlette", "uvicorn", "sqlalchemy", "aiohttp", "pydantic", "aiosqlite", "asyncpg", "alembic",
    "structlog", "typer", "orjson", "uvloop", "httptools", "opentelemetry", "prometheus_client",
    "sqlite3", "httpx",
}  # fmt: skip


def test_importing_receiver_loads_no_server_and_no_database() -> None:
    script = "import sys, receiver; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert UNWANTED.isdisjoint(run.stdout.split())


def test_of_ssf_only_the_words_on_the_wire_are_loaded() -> None:
    script = "import sys, receiver; print(*(name for name in sys.modules if name[:4] == 'ssf.'))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert all(name.startswith("ssf.protocol") for name in run.stdout.split())


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert sorted(receiver.__all__) == receiver.__all__
    for name in receiver.__all__:
        assert getattr(receiver, name).__doc__

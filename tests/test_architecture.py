"""What the parts may know of each other, what an import costs, and that the tables are the tables.

The migrations and `ssf.store.schema` describe the same thing twice; here they are held together
on both databases.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, inspect, text

import ssf
import ssf.store.migrations
from ssf.store.database import SCHEMA_REVISION, Database
from ssf.store.schema import metadata
from tests.postgres import PostgresServer

ROOT = Path(ssf.__file__).parent.parent
MIGRATIONS = Path(ssf.store.migrations.__file__).parent
OURS = {"ssf", "keys", "receiver"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


# ------------------------------------------------------------------ imports


def test_every_import_points_downwards():
    lint = Path(sys.executable).parent / "lint-imports"
    result = run(str(lint), "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def modules_loaded_by(*names: str) -> set[str]:
    """Modules that a fresh interpreter has after importing these, and had not before."""
    program = (
        "import importlib, json, sys\n"
        "before = set(sys.modules)\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    result = run(sys.executable, "-c", program, *names)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def top_levels(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def third_party(modules: Iterable[str]) -> set[str]:
    return top_levels(modules) - OURS - sys.stdlib_module_names


def test_importing_ssf_loads_nothing_else():
    assert modules_loaded_by("ssf") == {"ssf"}


def test_importing_subjects_loads_no_third_party_module():
    loaded = modules_loaded_by("ssf.protocol.subjects")
    assert third_party(loaded) == set()
    assert {name for name in loaded if name.startswith("ssf.")} == {
        name for name in loaded if name.startswith("ssf.protocol")
    }


@pytest.mark.parametrize("folder", ["protocol", "rules"])
def test_importing_the_words_and_the_rules_loads_no_third_party_module_and_no_io(folder):
    names = [f"ssf.{folder}.{path.stem}" for path in (ROOT / "ssf" / folder).glob("*.py")]
    loaded = modules_loaded_by(*(name for name in names if not name.endswith("__init__")))
    assert third_party(loaded) == set()
    assert not {"asyncio", "sqlite3", "_socket", "ssl"} & loaded


def test_importing_the_receiving_side_loads_nothing_of_the_transmitter():
    loaded = modules_loaded_by("receiver", "keys")
    assert not {"aiohttp", "alembic", "pydantic", "sqlalchemy", "starlette"} & loaded
    assert {name for name in loaded if name.startswith("ssf.")} <= {
        name for name in loaded if name.startswith("ssf.protocol")
    }


# ------------------------------------------------------------------ migrations


@pytest.fixture(params=["sqlite", "postgresql"])
async def created(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Database, Database]]:
    """A database made by the migrations, and an empty one in which the tables were created."""
    if request.param == "sqlite":
        async with _both(
            f"sqlite:///{tmp_path}/{name}.db" for name in ("migrated", "created")
        ) as two:
            yield two
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    names = [await server.new_database(empty=True) for _ in range(2)]
    async with _both(server.url_of(name) for name in names) as two:
        yield two
    for name in names:
        await server.drop(name)


@contextlib.asynccontextmanager
async def _both(urls: Iterable[str]) -> AsyncIterator[tuple[Database, Database]]:
    migrated, made = (Database(url) for url in urls)
    await migrated.migrate()
    async with made.transaction() as connection:
        await connection.run_sync(metadata.create_all)
    yield migrated, made
    await migrated.close()
    await made.close()


async def ask(database: Database, question: Any) -> Any:
    async with database.reading() as connection:
        return await connection.run_sync(question)


def test_the_revision_that_the_program_needs_is_the_newest():
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [SCHEMA_REVISION]
    assert len(script.get_bases()) == 1


async def test_the_migrations_leave_nothing_to_be_generated(created):
    migrated, _ = created

    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    assert await ask(migrated, differences) == []


async def test_the_migrations_make_exactly_the_tables_of_the_schema(created):
    """Columns with types and defaults, keys, uniqueness, indexes with conditions, checks."""
    migrated, made = created
    shape = await ask(migrated, shape_of_everything)
    assert shape == await ask(made, shape_of_everything)
    assert set(shape) == set(metadata.tables)


def shape_of_everything(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    tables = set(inspector.get_table_names()) - {"alembic_version"}
    return {
        table: {
            "columns": sorted(repr(column) for column in inspector.get_columns(table)),
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": sorted(
                (key["constrained_columns"], key["referred_table"], key["options"])
                for key in inspector.get_foreign_keys(table)
            ),
            "unique": sorted(
                key["column_names"] for key in inspector.get_unique_constraints(table)
            ),
            "indexes": sorted(
                f"{index['name']} {index['column_names']} {index['unique']} "
                f"{ {name: str(value) for name, value in index['dialect_options'].items()} }"
                for index in inspector.get_indexes(table)
            ),
            "checks": sorted(repr(check) for check in inspector.get_check_constraints(table)),
        }
        for table in tables
    }


async def test_every_check_of_the_schema_is_in_the_database(created):
    migrated, _ = created

    def names(connection: Connection) -> set[Any]:
        inspector = inspect(connection)
        return {
            (table, check["name"])
            for table in inspector.get_table_names()
            for check in inspector.get_check_constraints(table)
        }

    stated = {
        (table.name, constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert len(stated) >= 6
    assert await ask(migrated, names) == stated


async def test_tables_that_must_not_reuse_a_number_do_not_on_sqlite(created):
    migrated, made = created
    if not migrated.is_sqlite:
        statement = text(
            "SELECT count(*) FROM information_schema.columns"
            " WHERE table_name IN ('targets', 'deliveries', 'subjects') AND column_name = 'id'"
            " AND column_default LIKE 'nextval%'"
        )
        found = await ask(migrated, lambda connection: connection.execute(statement).scalar_one())
        assert found == 3
        return

    def statements(connection: Connection) -> dict[str, str]:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        return {row.name: row.sql for row in rows}

    by_table = await ask(migrated, statements)
    autoincrement = {name for name, sql in by_table.items() if "AUTOINCREMENT" in sql.upper()}
    without_rowid = {name for name, sql in by_table.items() if "WITHOUT ROWID" in sql.upper()}
    assert autoincrement == {"targets", "deliveries", "subjects"}
    assert without_rowid == {"routes", "subject_shapes", "subject_projections"}
    by_table_of_schema = await ask(made, statements)
    for name in metadata.tables:
        for word in ("AUTOINCREMENT", "WITHOUT ROWID"):
            assert (word in by_table[name]) is (word in by_table_of_schema[name])


async def test_migrating_again_changes_nothing(created):
    migrated, _ = created
    before = await ask(migrated, shape_of_everything)
    await migrated.migrate()
    await migrated.require_schema()
    assert await ask(migrated, shape_of_everything) == before


async def test_the_database_says_which_revision_it_has(created):
    migrated, _ = created
    version = text("SELECT version_num FROM alembic_version")
    found = await ask(migrated, lambda connection: connection.execute(version).scalar_one())
    assert found == SCHEMA_REVISION

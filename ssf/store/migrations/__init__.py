"""Alembic revisions, forward only. Each one is frozen once it has been released."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from ssf.store.schema import MIGRATION_LOCK


def configuration(connection: Connection) -> Config:
    """Alembic's settings for a connection that is inside a transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade_to_head(connection: Connection) -> None:
    """Runs every pending revision in the caller's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    command.upgrade(configuration(connection), "head")

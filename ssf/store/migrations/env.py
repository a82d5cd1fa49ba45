"""Alembic runs this file; the caller owns the connection and its transaction."""

from alembic import context

from ssf.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

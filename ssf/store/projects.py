"""Projects: tenants. The default one is there from the start."""

from sqlalchemy import select

from ssf.store.database import Connection, insert_or
from ssf.store.schema import projects

DEFAULT_PROJECT = "default"


async def ensure_default_project(connection: Connection, *, now: int) -> int:
    """The row number of the project `default`, which is made when it is missing."""
    await connection.execute(
        insert_or(connection, projects)
        .values(name=DEFAULT_PROJECT, created_at=now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    found = await connection.execute(
        select(projects.c.id).where(projects.c.name == DEFAULT_PROJECT)
    )
    return int(found.scalar_one())


async def lock_project(connection: Connection, project_id: int) -> None:
    """Of two transactions that count what a project has, the second sees what the first made."""
    await connection.execute(
        select(projects.c.id).where(projects.c.id == project_id).with_for_update()
    )

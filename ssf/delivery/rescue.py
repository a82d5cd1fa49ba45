"""What a dead worker left behind: its leases. Nothing else, since a crash changes no state.

On PostgreSQL a lease of the dead runs out by itself. On SQLite there is one process at a time, so
whatever is leased when it starts was leased by a process that is gone, and is freed at once. Were
that ever wrong, the fencing token would still keep the other worker's outcomes out.
"""

from ssf.store import lanes
from ssf.store.database import Database


async def free_leases_of_the_dead(database: Database, *, now: int) -> None:
    """Frees every lease on SQLite; leaves PostgreSQL, where other nodes may live, alone."""
    if database.is_sqlite:
        async with database.transaction() as transaction:
            await lanes.free_all(transaction, now=now)

"""What a dead process left behind: leases, and polled SETs that nobody will acknowledge.

On PostgreSQL a lease of the dead runs out by itself. On SQLite there is one process at a time, so
whatever is leased when it starts was leased by a process that is gone, and is freed at once. Were
that ever wrong, the fencing token would still keep the other worker's outcomes out.
"""

from ssf.store import deliveries, lanes
from ssf.store.database import Database


async def free_leases_of_the_dead(database: Database, *, now: int) -> None:
    """Frees every lease on SQLite; leaves PostgreSQL, where other nodes may live, alone."""
    if database.is_sqlite:
        async with database.transaction() as transaction:
            await lanes.free_all(transaction, now=now)


async def show_again_what_was_handed_out(database: Database, *, now: int) -> None:
    """Ends the time for which polled SETs that were not acknowledged are kept from other polls.

    Whoever fetched them may have lost the answer with the process. On PostgreSQL other nodes may
    have handed them out and live; then a SET comes twice, which receivers must put up with, and
    that is better than one that comes half a minute too late.
    """
    async with database.reading() as connection:
        target_ids = await deliveries.targets_with_handed_out(connection, now=now)
    for target_id in target_ids:
        async with database.transaction() as transaction:
            await lanes.lock(transaction, target_id)
            await deliveries.show_again(transaction, target_id, now=now)

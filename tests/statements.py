"""What the databases of a test are asked, counted; and waiting until something is so."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

from sqlalchemy import event

from ssf.store.database import Database


class Statements:
    """Counts the statements that a database is asked, as long as it is entered."""

    def __init__(self, database: Database) -> None:
        engines = {id(e): e.sync_engine for e in (database._writer, database._readers)}
        self._engines = [*engines.values()]
        self.all: list[str] = []
        self._looks = 0

    def __enter__(self) -> Self:
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._asked)
        return self

    def __exit__(self, *_exception: object) -> None:
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._asked)

    def _asked(
        self, _connection: Any, _cursor: Any, statement: str, *_parameters_and_more: Any
    ) -> None:
        self.all.append(statement)
        self._looks += statement.startswith("SELECT min(deliveries.next_attempt_at)")

    @property
    def count(self) -> int:
        return len(self.all)

    def looks(self) -> int:
        """How often a poll that found nothing has asked when there may be something."""
        return self._looks

    def connections_in_use(self) -> int:
        return sum(engine.pool.checkedout() for engine in self._engines)  # type: ignore[attr-defined]


async def until(is_so: Callable[[], bool]) -> None:
    """Gives way until it is so; for a while, since it may never be when something is broken."""
    async with asyncio.timeout(30):
        while not is_so():
            # Not 0: a loop that never rests keeps the threads of the database from their work.
            await asyncio.sleep(0.001)

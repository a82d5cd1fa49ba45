"""Does a publish get slower when a stream's list of subjects grows?

Fills the list of one stream (`default_subjects` NONE) to 1 000 subjects, measures, fills it to
1 000 000, and measures again; once with simple subjects, once with complex ones of one member and
once of two. Prints the medians and the query plans.

    python -m benchmarks.subjects [--sizes 1000 1000000] [--publishes 300] [--postgresql]
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert, select, text, update

from ssf.clock import SystemClock
from ssf.pipeline.fan_out import matched_targets
from ssf.pipeline.new_event import NewEvent
from ssf.pipeline.publish import Publisher
from ssf.protocol.subject_conversion import FormatFallback
from ssf.protocol.subjects import Subject, parse_subject
from ssf.rules.subject_projections import all_projections, shape_of
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.schema import subject_projections, subject_shapes, subjects, targets
from ssf.store.subjects import count_subjects
from tests.clients import SESSION_REVOKED, running_transmitter
from tests.postgres import postgres_server

_BATCH = 50_000


def _user(number: int | str) -> dict[str, Any]:
    return {"format": "iss_sub", "iss": "https://idp.example.com", "sub": f"user-{number}"}


def _tenant(number: int | str) -> dict[str, Any]:
    return {"format": "opaque", "id": f"tenant-{number}"}


def _complex(**members: Any) -> dict[str, Any]:
    return {"format": "complex", **members}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kind of list, and events to be looked up in it.

    Attributes:
        name: For the table.
        listed: Identifier of the subject of this number.
        events: By name: the subject of an event, and whether the stream gets it.
    """

    name: str
    listed: Callable[[int], dict[str, Any]]
    events: dict[str, tuple[dict[str, Any], bool]]


CASES = [
    Case(
        name="simple",
        listed=_user,
        events={"simple, listed": (_user(500), True), "simple, not listed": (_user("x"), False)},
    ),
    Case(
        name="{user}",
        listed=lambda number: _complex(user=_user(number)),
        events={
            "{user}, listed": (_complex(user=_user(500)), True),
            "{user}, not listed": (_complex(user=_user("x")), False),
            "{tenant, user}, listed": (_complex(tenant=_tenant(1), user=_user(500)), True),
            "{tenant}: all match": (_complex(tenant=_tenant(1)), True),
        },
    ),
    Case(
        name="{tenant, user}",
        listed=lambda number: _complex(tenant=_tenant(number % 10), user=_user(number)),
        events={
            "{tenant, user}, listed": (_complex(tenant=_tenant(0), user=_user(500)), True),
            "{tenant, user}, not listed": (_complex(tenant=_tenant(3), user=_user(500)), False),
            "{user}, listed": (_complex(user=_user(500)), True),
            "{tenant}: a tenth match": (_complex(tenant=_tenant(1)), True),
            "{device}: all match": (_complex(device=_tenant(1)), True),
        },
    ),
]


async def _fill(database: Database, target_id: int, case: Case, start: int, stop: int) -> None:
    """Writes what adding these subjects one by one would write, in a few big transactions."""
    for first in range(start, stop, _BATCH):
        rows: list[dict[str, Any]] = []
        projections: list[dict[str, Any]] = []
        numbers = range(first, min(first + _BATCH, stop))
        shape = ""
        for number in numbers:
            subject = parse_subject(case.listed(number))
            shape = shape_of(subject)
            row_id = number + 1
            rows.append(_row(target_id, row_id, subject))
            projections += [
                {"target_id": target_id, "projection_key": key, "subject_id": row_id}
                for key in all_projections(subject)
            ]
        async with database.transaction() as transaction:
            await transaction.execute(insert(subjects), rows)
            if projections:
                projections.sort(key=lambda row: row["projection_key"])
                await transaction.execute(insert(subject_projections), projections)
            if first == 0:
                await transaction.execute(
                    insert(subject_shapes).values(target_id=target_id, shape=shape, subjects=0)
                )
            await transaction.execute(
                update(subject_shapes).values(subjects=subject_shapes.c.subjects + len(numbers))
            )


def _row(target_id: int, row_id: int, subject: Subject) -> dict[str, Any]:
    return {
        "id": row_id,
        "target_id": target_id,
        "subject_key": subject.key,
        "identifier": json.dumps(subject.identifier, separators=(",", ":")),
        "is_added": True,
        "is_verified": True,
        "changed_at": 0,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one event costs, in ms: the median, and what nine of ten are slower than.

    The second says more on a machine that others use as well.
    """

    publish: tuple[float, float]
    finding: tuple[float, float]


def _summary(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=10)[0] * 1000


async def _measure(
    database: Database, subject: Subject, *, is_wanted: bool, publishes: int
) -> Measured:
    """Publishing as a whole, and of it the finding out who wants the event."""
    publisher = Publisher(
        database,
        Bell(),
        SystemClock(),
        os.urandom,
        format_fallback=FormatFallback.MOST_PRIVATE,
    )
    new = NewEvent(project_id=1, event_type=SESSION_REVOKED, subject=subject, payload={})
    whole, finding = [], []
    for _ in range(publishes):
        started = time.perf_counter()
        published = await publisher.publish(new)
        whole.append(time.perf_counter() - started)
        if published.matched != is_wanted:
            raise SystemExit(f"{subject.canonical}: {published.matched} streams get it")
        async with database.reading() as connection:
            started = time.perf_counter()
            await matched_targets(
                connection,
                new,
                now=SystemClock().now(),
                format_fallback=FormatFallback.MOST_PRIVATE,
            )
            finding.append(time.perf_counter() - started)
    return Measured(publish=_summary(whole), finding=_summary(finding))


@contextmanager
def _statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []
    engine = database._readers.sync_engine  # noqa: SLF001 - to look over its shoulder

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def _plan(database: Database, subject: Subject) -> tuple[str, ...]:
    new = NewEvent(project_id=1, event_type=SESSION_REVOKED, subject=subject, payload={})
    words = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN (COSTS OFF)"
    lines = []
    async with database.reading() as connection:
        with _statements(database) as statements:
            await matched_targets(
                connection,
                new,
                now=SystemClock().now(),
                format_fallback=FormatFallback.MOST_PRIVATE,
            )
        for statement, parameters in statements:
            found = await connection.exec_driver_sql(f"{words} {statement}", parameters)
            lines += [row[-1] for row in found]
    return tuple(lines)


async def _prepare(database: Database) -> int:
    """A receiver whose stream holds added subjects only; returns the number of its target."""
    async with running_transmitter(database, SystemClock()) as transmitter:
        receiver = await transmitter.add_receiver(default_subjects="NONE")
        await receiver.create_stream(events_requested=[SESSION_REVOKED])
    async with database.reading() as connection:
        return int((await connection.execute(select(targets.c.id))).scalar_one())


async def _statistics(database: Database) -> None:
    """What PostgreSQL does by itself after a while, and SQLite never does."""
    if not database.is_sqlite:
        async with database.transaction() as transaction:
            await transaction.execute(text("ANALYZE"))


async def _require(connection: Connection, target_id: int, size: int) -> None:
    if await count_subjects(connection, target_id) != size:
        raise SystemExit("the list is not as long as it should be")


async def _run(database: Database, case: Case, sizes: list[int], publishes: int) -> None:
    target_id, filled = await _prepare(database), 0
    for size in sizes:
        started = time.perf_counter()
        await _fill(database, target_id, case, filled, size)
        await _statistics(database)
        filled = size
        took = time.perf_counter() - started
        async with database.reading() as connection:
            await _require(connection, target_id, size)
        for name, (identifier, is_wanted) in case.events.items():
            subject = parse_subject(identifier)
            await _measure(database, subject, is_wanted=is_wanted, publishes=20)
            found = await _measure(database, subject, is_wanted=is_wanted, publishes=publishes)
            figures = " | ".join(f"{ms:.2f}" for ms in (*found.publish, *found.finding))
            words = f"{size:,}".replace(",", " ")
            print(f"| {case.name} | {words} | {name} | {figures} |", flush=True)
        print(f"(filled to {size} in {took:.0f} s)", flush=True)
    plans: dict[tuple[str, ...], list[str]] = {}
    for name, (identifier, _) in case.events.items():
        plans.setdefault(await _plan(database, parse_subject(identifier)), []).append(name)
    for plan, names in plans.items():
        print(f"\nlist of {filled} {case.name}, plan of {'; '.join(names)}:")
        print(*(f"    {line}" for line in plan), sep="\n")
    print(flush=True)


@asynccontextmanager
async def _databases(*, postgresql: bool) -> AsyncIterator[Callable[[], Any]]:
    """Makes empty databases, on SQLite or on the test server."""
    if not postgresql:
        with tempfile.TemporaryDirectory(prefix="ssf-bench-") as folder:

            @asynccontextmanager
            async def on_sqlite() -> AsyncIterator[Database]:
                path = Path(folder) / "subjects.db"
                path.unlink(missing_ok=True)
                database = Database(f"sqlite:///{path}")
                await database.migrate()
                yield database
                await database.close()

            yield on_sqlite
        return
    with postgres_server() as server:

        @asynccontextmanager
        async def on_postgresql() -> AsyncIterator[Database]:
            name = await server.new_database(empty=True)
            database = Database(server.url_of(name))
            await database.migrate()
            yield database
            await database.close()
            await server.drop(name)

        yield on_postgresql


async def main() -> None:
    """Measures what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 1_000_000])
    parser.add_argument("--publishes", type=int, default=300)
    parser.add_argument("--postgresql", action="store_true")
    asked = parser.parse_args()
    async with _databases(postgresql=asked.postgresql) as empty_database:
        for case in CASES:
            print("| list | subjects | event | publish | fastest tenth | finding | fastest tenth |")
            print("|---|---|---|---|---|---|---|", flush=True)
            async with empty_database() as database:
                await _run(database, case, sorted(asked.sizes), asked.publishes)


if __name__ == "__main__":
    asyncio.run(main())

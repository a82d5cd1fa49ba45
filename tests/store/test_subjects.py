"""The lists of subjects: who gets an event, whatever was added and removed before."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text, update

from ssf.protocol.subjects import Subject, parse_subject
from ssf.rules.streams import Stream
from ssf.rules.subject_membership import NOT_LISTED, DefaultSubjects, Membership
from ssf.rules.subject_projections import all_projections, shape_of
from ssf.store import subjects
from ssf.store.database import Connection, Database
from ssf.store.schema import (
    deleted_targets,
    routes,
    subject_projections,
    subject_shapes,
)
from ssf.store.schema import subjects as subject_rows
from ssf.store.streams import find_in_project, find_stream, remove_stream
from ssf.store.targets import targets_wanting
from tests.clients import ReceiverUnderTest, TransmitterUnderTest, running_transmitter
from tests.fakes import FakeClock
from tests.postgres import PostgresServer
from tests.store.test_lanes import NOW, add_target, until_somebody_waits_for_a_lock

ALL, NONE = DefaultSubjects.ALL, DefaultSubjects.NONE
TYPE = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
HOUR = 3_600_000_000


def opaque(id_: str) -> dict[str, str]:
    return {"format": "opaque", "id": id_}


def complex_of(**members: str) -> Subject:
    return parse_subject(
        {"format": "complex", **{name: opaque(id_) for name, id_ in members.items()}}
    )


SIMPLE_A, SIMPLE_B = parse_subject(opaque("a")), parse_subject(opaque("b"))


async def add_listing(database: Database, default: DefaultSubjects, *types: str) -> int:
    """A target that gets events of these types, and whose list is empty."""
    target_id = await add_target(database)
    async with database.transaction() as transaction:
        await transaction.execute(
            insert(routes),
            [
                {
                    "project_id": 1,
                    "event_type": uri,
                    "default_subjects": default.value,
                    "target_id": target_id,
                }
                for uri in types or (TYPE,)
            ],
        )
    return target_id


async def said_of(connection: Connection, subject: Subject, now: int = NOW) -> Any:
    return await subjects.memberships(
        connection, project_id=1, event_type=TYPE, subject=subject, now=now
    )


async def getting(connection: Connection, subject: Subject, now: int = NOW) -> set[int]:
    """The targets that get an event about a subject."""
    said = await said_of(connection, subject, now)
    found = await targets_wanting(connection, project_id=1, event_type=TYPE, memberships=said)
    return {target.id for target in found}


async def add(connection: Connection, target_id: int, *added: Subject, now: int = NOW) -> None:
    for subject in added:
        await subjects.add_subject(connection, target_id, subject, is_verified=True, now=now)


async def count_of(connection: Connection, table: Any) -> int:
    found = await connection.execute(select(func.count()).select_from(table))
    return int(found.scalar_one())


async def require_counts(connection: Connection) -> None:
    """`subject_shapes` says of each list what is in it, and has no row too many."""
    said = {
        (row.target_id, row.shape): row.subjects
        for row in await connection.execute(select(subject_shapes))
    }
    counted: dict[tuple[int, str], int] = {}
    for row in await connection.execute(select(subject_rows)):
        place = row.target_id, shape_of(parse_subject(json.loads(row.identifier)))
        counted[place] = counted.get(place, 0) + 1
    assert said == counted


async def purge_all(database: Database, *, now: int) -> int:
    """Purges until there is nothing left; returns in how many rounds."""
    rounds = 0
    while True:
        async with database.transaction() as transaction:
            if not await subjects.purge_subjects(transaction, now=now):
                return rounds
        rounds += 1
        assert rounds < 100


# ---------------------------------------------------------------- against a model


@dataclass
class ListedInModel:
    identifier: dict[str, Any]
    added_number: int | None = None
    added_until: float = float("inf")
    removed_number: int | None = None
    removed_since: float = float("inf")


@dataclass
class Model:
    """One stream's subjects as the rules say it, without any index: SSF 1.0 §8.1.3.1, §9.3."""

    default: DefaultSubjects
    listed: dict[str, ListedInModel] = field(default_factory=dict)

    @staticmethod
    def name(identifier: dict[str, Any]) -> str:
        """What makes two identifiers the same here: JSON content, e-mail domains without case."""
        return json.dumps(identifier, sort_keys=True).replace("EXAMPLE", "example")

    @classmethod
    def matches(cls, added: dict[str, Any], event: dict[str, Any]) -> bool:
        if added["format"] == event["format"] == "complex":
            return all(cls.name(added[n]) == cls.name(event[n]) for n in added.keys() & event.keys()
                       if n != "format")  # fmt: skip
        return cls.name(added) == cls.name(event)

    @classmethod
    def covers(cls, removed: dict[str, Any], event: dict[str, Any]) -> bool:
        return cls.matches(removed, event) and removed.keys() <= event.keys()

    def add(self, identifier: dict[str, Any], number: int) -> None:
        self.listed[self.name(identifier)] = ListedInModel(identifier, added_number=number)

    def remove(self, identifier: dict[str, Any], number: int, now: int, grace: int) -> None:
        one = self.listed.setdefault(self.name(identifier), ListedInModel(identifier))
        one.added_until = min(one.added_until, now + grace)
        if self.default is ALL:
            one.removed_number = number
            one.removed_since = min(one.removed_since, now + grace)

    def gets(self, event: dict[str, Any], now: int) -> bool:
        added = [
            one.added_number
            for one in self.listed.values()
            if one.added_number is not None
            and now < one.added_until
            and self.matches(one.identifier, event)
        ]
        if self.default is NONE:
            return bool(added)
        removed = [
            one.removed_number
            for one in self.listed.values()
            if one.removed_number is not None
            and one.removed_since <= now
            and self.covers(one.identifier, event)
        ]
        return not removed or max(added, default=-1) > max(removed)


def random_identifier(chance: random.Random) -> dict[str, Any]:
    values = [opaque("1"), opaque("2")]
    if chance.random() < 0.25:
        return chance.choice(
            [
                *values,
                {"format": "email", "email": "a@example.com"},
                {"format": "email", "email": "a@EXAMPLE.com"},
            ]
        )
    names = chance.sample(["user", "device", "tenant", "custom"], chance.choice([1, 1, 2, 2, 3]))
    return {"format": "complex", **{name: chance.choice(values) for name in names}}


@pytest.mark.parametrize("grace", [0, HOUR], ids=["no grace", "with grace"])
@pytest.mark.parametrize("seed", range(6))
async def test_whoever_gets_an_event_is_who_the_rules_say(
    database: Database, seed: int, grace: int
) -> None:
    chance = random.Random(seed)
    models = {
        await add_listing(database, default): Model(default)
        for default in (NONE, ALL, chance.choice([NONE, ALL]))
    }
    now, history = NOW, []
    for number in range(1, 61):
        target_id, identifier = chance.choice(list(models)), random_identifier(chance)
        model, subject = models[target_id], parse_subject(identifier)
        act = chance.choices(["add", "remove", "later", "purge"], [5, 5, 2, 1])[0]
        history.append((act, target_id, model.default, identifier, now))
        async with database.transaction() as transaction:
            if act == "add":
                model.add(identifier, number)
                await add(transaction, target_id, subject, now=now)
            elif act == "remove":
                model.remove(identifier, number, now, grace)
                change = subjects.drop_subject if model.default is NONE else subjects.remove_subject
                await change(transaction, target_id, subject, removal_at=now + grace, now=now)
            elif act == "later":
                now += chance.choice([1, HOUR // 2, HOUR])
            else:
                await subjects.purge_subjects(transaction, now=now)
            await require_counts(transaction)
            for asked in (identifier, *(random_identifier(chance) for _ in range(3))):
                expected = {id_ for id_, one in models.items() if one.gets(asked, now)}
                got = await getting(transaction, parse_subject(asked), now)
                assert got == expected, (asked, history)


# ---------------------------------------------------------------- removal grace


async def test_t_27_removing_again_does_not_prolong_the_grace(database: Database) -> None:
    """Else whoever removes a subject every day would get events about it for ever."""
    target_id = await add_listing(database, ALL)
    listed, unheard_of = SIMPLE_A, complex_of(user="u")
    async with database.transaction() as transaction:
        await add(transaction, target_id, listed)
        for subject in (listed, unheard_of):
            for at in (NOW, NOW + HOUR // 2, NOW + 2 * HOUR):
                await subjects.remove_subject(
                    transaction, target_id, subject, removal_at=at + HOUR, now=at
                )
                assert (await getting(transaction, subject, at) != set()) is (at < NOW + HOUR)
                await subjects.purge_subjects(transaction, now=at)
            assert await getting(transaction, subject, NOW + HOUR) == set()


async def test_t_27_a_removal_under_grace_revives_nothing_that_was_silent(
    database: Database,
) -> None:
    """Added, then removed by a wider removal: taking the addition back must not undo that one."""
    user, both = complex_of(user="u"), complex_of(user="u", device="d")
    target_id = await add_listing(database, ALL)
    async with database.transaction() as transaction:
        await add(transaction, target_id, both)
        await subjects.remove_subject(transaction, target_id, user, removal_at=NOW, now=NOW)
        assert await getting(transaction, both) == set()
        await subjects.remove_subject(transaction, target_id, both, removal_at=NOW + HOUR, now=NOW)
        assert await getting(transaction, both) == set()


async def test_what_was_taken_out_of_a_list_is_not_removed_from_a_stream_of_all(
    database: Database,
) -> None:
    """The receiver's terms change from NONE to ALL before what is left over was purged."""
    target_id = await add_listing(database, NONE)
    async with database.transaction() as transaction:
        await add(transaction, target_id, SIMPLE_A)
        await subjects.drop_subject(
            transaction, target_id, SIMPLE_A, removal_at=NOW + HOUR, now=NOW
        )
        assert await getting(transaction, SIMPLE_A, NOW + HOUR) == set()
        await transaction.execute(update(routes).values(default_subjects=ALL.value))
        assert await getting(transaction, SIMPLE_A, NOW + HOUR) == {target_id}


async def test_added_again_during_the_grace_it_stays(database: Database) -> None:
    for default in (ALL, NONE):
        target_id = await add_listing(database, default)
        async with database.transaction() as transaction:
            change = subjects.drop_subject if default is NONE else subjects.remove_subject
            await add(transaction, target_id, SIMPLE_A)
            await change(transaction, target_id, SIMPLE_A, removal_at=NOW + HOUR, now=NOW)
            await add(transaction, target_id, SIMPLE_A)
            assert target_id in await getting(transaction, SIMPLE_A, NOW + 2 * HOUR)
            [listed] = await subjects.page_of_subjects(transaction, target_id, after_id=0, limit=9)
            assert (listed.is_added, listed.removal_at) == (True, None)
    assert await purge_all(database, now=NOW + 9 * HOUR) == 0


# ---------------------------------------------------------------- what is kept


async def test_the_receivers_own_words_are_kept_and_one_subject_has_one_row(
    database: Database,
) -> None:
    """SSF 1.0 §10.1: the same format and the same values towards one receiver."""
    target_id = await add_listing(database, NONE)
    words = {"format": "email", "email": "A.B@EXAMPLE.com"}
    other_words = {"email": "A.B@example.COM", "format": "email"}
    async with database.transaction() as transaction:
        await add(transaction, target_id, parse_subject(words))
        [listed] = await subjects.page_of_subjects(transaction, target_id, after_id=0, limit=9)
        assert json.loads(listed.identifier) == words
        await subjects.add_subject(
            transaction, target_id, parse_subject(other_words), is_verified=False, now=NOW + 1
        )
        [again] = await subjects.page_of_subjects(transaction, target_id, after_id=0, limit=9)
        assert json.loads(again.identifier) == other_words
        assert (again.is_verified, again.changed_at) == (False, NOW + 1)
        assert again.id > listed.id
        assert await subjects.count_subjects(transaction, target_id) == 1


async def test_what_is_not_complex_is_never_found_as_complex_nor_the_other_way_round(
    database: Database,
) -> None:
    target_id = await add_listing(database, NONE)
    async with database.transaction() as transaction:
        await add(transaction, target_id, complex_of(user="a"), SIMPLE_B)
        assert await getting(transaction, SIMPLE_A) == set()
        assert await getting(transaction, complex_of(user="b")) == set()
        assert await getting(transaction, complex_of(device="b")) == {target_id}


async def test_lists_of_other_types_and_projects_say_nothing(database: Database) -> None:
    of_other_type = await add_listing(database, NONE, "https://example.com/other")
    of_type = await add_listing(database, NONE)
    for target_id in (of_other_type, of_type):
        async with database.transaction() as transaction:
            await add(transaction, target_id, SIMPLE_A, complex_of(user="a"))
    async with database.reading() as connection:
        for subject in (SIMPLE_A, complex_of(user="a")):
            assert set(await said_of(connection, subject)) == {of_type}
            elsewhere = await subjects.memberships(
                connection, project_id=2, event_type=TYPE, subject=subject, now=NOW
            )
            assert elsewhere == {}


async def test_the_latest_of_several_that_match_is_named(database: Database) -> None:
    target_id = await add_listing(database, ALL)
    async with database.transaction() as transaction:
        await add(transaction, target_id, complex_of(user="u"), complex_of(user="u", device="d"))
        await subjects.remove_subject(
            transaction, target_id, complex_of(tenant="t"), removal_at=NOW, now=NOW
        )
        page = await subjects.page_of_subjects(transaction, target_id, after_id=0, limit=9)
        _, second, removed = [one.id for one in page]
        event_ = complex_of(user="u", tenant="t")
        assert (await said_of(transaction, event_)).get(target_id, NOT_LISTED) == Membership(
            added=second, removed=removed
        )


# ---------------------------------------------------------------- what nobody needs any more


async def test_shapes_that_no_subject_has_leave_nothing_behind(database: Database) -> None:
    """Every publish reads the shapes of a list: removing what was never there must not add any."""
    target_id = await add_listing(database, NONE)
    async with database.transaction() as transaction:
        for number in range(20):
            subject = complex_of(**{f"m{number}": "1"})
            await subjects.drop_subject(transaction, target_id, subject, removal_at=NOW, now=NOW)
            await add(transaction, target_id, subject)
            await subjects.drop_subject(transaction, target_id, subject, removal_at=NOW, now=NOW)
        assert await count_of(transaction, subject_shapes) == 0
        assert await count_of(transaction, subject_projections) == 0


async def test_after_the_grace_the_rows_go_and_nothing_else_does(database: Database) -> None:
    none, all_ = await add_listing(database, NONE), await add_listing(database, ALL)
    kept, ending = complex_of(user="kept"), complex_of(user="ending", device="d")
    async with database.transaction() as transaction:
        for target_id in (none, all_):
            await add(transaction, target_id, kept, ending, SIMPLE_A)
        for subject in (ending, SIMPLE_A):
            at = NOW + HOUR
            await subjects.drop_subject(transaction, none, subject, removal_at=at, now=NOW)
            await subjects.remove_subject(transaction, all_, subject, removal_at=at, now=NOW)

    assert await purge_all(database, now=NOW + HOUR - 1) == 0
    assert await purge_all(database, now=NOW + HOUR) > 0

    async with database.transaction() as transaction:
        await require_counts(transaction)
        found = await transaction.execute(
            select(subject_rows.c.target_id, subject_rows.c.subject_key, subject_rows.c.is_added)
        )
        assert {tuple(row) for row in found} == {
            (none, kept.key, True),
            (all_, kept.key, True),
            (all_, ending.key, False),
            (all_, SIMPLE_A.key, False),
        }
        # Four ways to find each of two, and one to find what was removed.
        assert await count_of(transaction, subject_projections) == 2 * 2 + 1
        assert await getting(transaction, SIMPLE_A, NOW + HOUR) == set()


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
async def test_the_list_of_a_deleted_target_goes_little_by_little(
    database: Database, count: int
) -> None:
    gone, staying = await add_listing(database, NONE), await add_listing(database, NONE)
    async with database.transaction() as transaction:
        await add(transaction, staying, SIMPLE_A, complex_of(user="u"))
        await fill(transaction, gone, (parse_subject(opaque(f"s{n}")) for n in range(count)))
        if count:
            await add(transaction, gone, complex_of(user="u"))
        await transaction.execute(insert(deleted_targets).values(target_id=gone, deleted_at=NOW))

    # A hundred at a time: on SQLite every publish waits meanwhile.
    assert await purge_all(database, now=NOW) >= 1 + count // 100

    async with database.transaction() as transaction:
        await require_counts(transaction)
        assert await subjects.count_subjects(transaction, staying) == 2
        assert await count_of(transaction, subject_rows) == 2
        assert await count_of(transaction, subject_projections) == 2
        assert await count_of(transaction, deleted_targets) == 0


async def fill(connection: Connection, target_id: int, listed: Iterator[Subject]) -> None:
    """Adds subjects by the thousand, as `add_subject` would one by one."""
    counts: dict[str, int] = {}
    rows, projections = [], []
    last = await connection.scalar(select(func.max(subject_rows.c.id)))
    first = 1 + (last or 0)
    for id_, subject in enumerate(listed, first):
        shape = shape_of(subject)
        counts[shape] = counts.get(shape, 0) + 1
        rows.append(
            {
                "id": id_,
                "target_id": target_id,
                "subject_key": subject.key,
                "identifier": json.dumps(subject.identifier),
                "is_added": True,
                "is_verified": True,
                "changed_at": NOW,
            }
        )
        projections += [
            {"target_id": target_id, "projection_key": key, "subject_id": id_}
            for key in all_projections(subject)
        ]
    for table, values in ((subject_rows, rows), (subject_projections, projections)):
        if values:
            await connection.execute(insert(table), values)
    for shape, count in counts.items():
        await connection.execute(
            insert(subject_shapes).values(target_id=target_id, shape=shape, subjects=count)
        )
    if connection.dialect.name == "postgresql":
        await connection.execute(
            text("SELECT setval(pg_get_serial_sequence('subjects', 'id'), :at)"),
            {"at": first + len(rows)},
        )


# ---------------------------------------------------------------- at once, on PostgreSQL


@pytest.fixture
async def postgres_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """PostgreSQL only: on SQLite there is one writer and nothing happens at once."""
    name = await postgres.new_database()
    opened = Database(postgres.url_of(name))
    yield opened
    await opened.close()
    await postgres.drop(name)


Change = Callable[[Connection, int], Any]


async def _add_user(connection: Connection, target_id: int) -> None:
    await add(connection, target_id, complex_of(user="u"))


async def _drop_user(connection: Connection, target_id: int) -> None:
    await subjects.drop_subject(
        connection, target_id, complex_of(user="u"), removal_at=NOW, now=NOW
    )


async def _remove_user(connection: Connection, target_id: int) -> None:
    await subjects.remove_subject(
        connection, target_id, complex_of(user="u"), removal_at=NOW, now=NOW
    )


async def _purge(connection: Connection, _target_id: int) -> None:
    await subjects.purge_subjects(connection, now=NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        pytest.param(_add_user, _add_user, 1, id="add beside add"),
        pytest.param(_add_user, _drop_user, 0, id="drop beside add"),
        pytest.param(_drop_user, _add_user, 1, id="add beside drop"),
        pytest.param(_remove_user, _add_user, 1, id="add beside remove"),
        pytest.param(_remove_user, _remove_user, 1, id="remove beside remove"),
        pytest.param(_purge, _add_user, 1, id="add beside purge"),
        pytest.param(_add_user, _purge, 1, id="purge beside add"),
    ],
)
@pytest.mark.parametrize("is_there", [False, True], ids=["of nothing", "of what is there"])
async def test_two_changes_of_one_subject_at_once_are_one_after_the_other(
    postgres_database: Database, first: Change, second: Change, rows: int, is_there: bool
) -> None:
    """The second waits for the first, and there is never a second row nor a wrong count."""
    database = postgres_database
    target_id = await add_listing(database, NONE)
    if is_there:
        async with database.transaction() as transaction:
            await _add_user(transaction, target_id)
            await subjects.drop_subject(
                transaction, target_id, complex_of(user="u"), removal_at=NOW + HOUR, now=NOW
            )
    waits = is_there or _purge not in (first, second)

    async def change(act: Change) -> None:
        async with database.transaction() as transaction:
            await act(transaction, target_id)

    async with asyncio.TaskGroup() as race:
        async with database.transaction() as transaction:
            await first(transaction, target_id)
            other = race.create_task(change(second))
            if waits:
                await until_somebody_waits_for_a_lock(database)
            else:
                await other

    async with database.reading() as connection:
        assert await count_of(connection, subject_rows) == rows
        await require_counts(connection)


async def test_many_adds_removals_and_purges_at_once_leave_the_counts_right(
    postgres_database: Database,
) -> None:
    database = postgres_database
    target_id = await add_listing(database, ALL)
    chance = random.Random(1)

    async def change(number: int) -> None:
        subject = chance.choice([SIMPLE_A, SIMPLE_B, complex_of(user="u"), complex_of(device="d")])
        async with database.transaction() as transaction:
            if number % 7 == 0:
                await subjects.purge_subjects(transaction, now=NOW + HOUR)
            elif number % 2:
                await add(transaction, target_id, subject)
            else:
                await subjects.remove_subject(
                    transaction, target_id, subject, removal_at=NOW + 1, now=NOW
                )

    async with asyncio.TaskGroup() as tasks:
        for number in range(120):
            tasks.create_task(change(number))

    async with database.reading() as connection:
        await require_counts(connection)


# ---------------------------------------------------------------- what a publish costs


@contextmanager
def statements_of(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is executed meanwhile, with its parameters."""
    seen: list[tuple[str, Any]] = []
    engine = database._writer.sync_engine

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def plans_of(database: Database, subject: Subject) -> list[str]:
    """The query plans of everything that is asked to find out who wants an event."""
    async with database.transaction() as transaction:
        with statements_of(database) as statements:
            await getting(transaction, subject)
        plans = []
        for statement, parameters in statements:
            found = await transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row.detail for row in found]
    assert plans
    return plans


@pytest.fixture
async def sqlite_database(tmp_path: Path, sqlite_template: bytes) -> AsyncIterator[Database]:
    """SQLite only, whose plans are words."""
    path = tmp_path / "plans.db"
    path.write_bytes(sqlite_template)
    opened = Database(f"sqlite:///{path}")
    yield opened
    await opened.close()


EVENTS = [
    pytest.param(SIMPLE_A, id="simple"),
    pytest.param(parse_subject({"format": "email", "email": "a@example.com"}), id="email"),
    pytest.param(complex_of(user="u5"), id="user"),
    pytest.param(complex_of(tenant="t1", user="u5"), id="tenant and user"),
    pytest.param(complex_of(device="d"), id="nothing in common"),
]


@pytest.mark.parametrize("subject", EVENTS)
async def test_no_table_is_scanned_and_the_plan_is_the_same_for_a_long_list(
    sqlite_database: Database, subject: Subject
) -> None:
    database = sqlite_database
    target_id, other = await add_listing(database, NONE), await add_listing(database, ALL)
    async with database.transaction() as transaction:
        await add(transaction, target_id, SIMPLE_A, complex_of(user="u5"))
        await add(transaction, other, complex_of(user="u5", tenant="t1"))
    short = await plans_of(database, subject)

    async with database.transaction() as transaction:
        await transaction.exec_driver_sql("DELETE FROM subject_shapes")
        await transaction.exec_driver_sql("DELETE FROM subjects")
        await fill(transaction, target_id, (complex_of(user=f"u{n}") for n in range(2_000)))
        await fill(transaction, other, (complex_of(tenant=f"t{n % 9}", user=f"u{n}") for n in range(2_000)))  # fmt: skip
        simple = [parse_subject(opaque(f"o{n}")) for n in range(2_000)]
        await fill(transaction, target_id, iter([SIMPLE_A, *simple]))
    long = await plans_of(database, subject)
    for _ in range(100):  # Of so few targets as these two, statistics would advise to read all.
        neighbour = await add_listing(database, NONE, "https://example.com/other")
        async with database.transaction() as transaction:
            await add(transaction, neighbour, complex_of(user="u"), complex_of(device="d"))
    async with database.transaction() as transaction:
        await transaction.exec_driver_sql("ANALYZE")
    # A new connection reads the statistics.
    await database.close()
    analyzed = await plans_of(database, subject)

    assert short == long
    tables = {"subjects", "subject_projections", "subject_shapes", "routes", "targets"}
    for plan in (*long, *analyzed):
        verb, *words = plan.split()
        assert verb != "SCAN" or words[0] not in tables, plan
        assert "AUTOMATIC" not in plan


# ---------------------------------------------------------------- beside the deletion of a stream


async def _stream(transmitter: TransmitterUnderTest) -> tuple[ReceiverUnderTest, Stream]:
    receiver = await transmitter.add_receiver(default_subjects="NONE")
    created = await receiver.create_stream(events_requested=[TYPE])
    async with transmitter.database.reading() as connection:
        found = await find_in_project(connection, project_id=1, stream_id=created["stream_id"])
    assert found is not None
    return receiver, found


async def test_nothing_is_added_to_a_stream_that_is_being_deleted(
    postgres_database: Database,
) -> None:
    async with running_transmitter(postgres_database, FakeClock()) as transmitter:
        receiver, stream = await _stream(transmitter)
        body = {"stream_id": stream.stream_id, "subject": opaque("a")}
        async with asyncio.TaskGroup() as race:
            async with postgres_database.transaction() as deleting:
                await remove_stream(deleting, stream, now=NOW)
                adding = race.create_task(receiver.http.post("/ssf/v1/subjects:add", json=body))
                await until_somebody_waits_for_a_lock(postgres_database)

        assert adding.result().status_code == 404
        async with postgres_database.reading() as connection:
            assert await count_of(connection, subject_rows) == 0


async def test_what_is_added_while_the_stream_is_about_to_be_deleted_goes_with_it(
    postgres_database: Database,
) -> None:
    async with running_transmitter(postgres_database, FakeClock()) as transmitter:
        receiver, stream = await _stream(transmitter)
        async with asyncio.TaskGroup() as race:
            async with postgres_database.transaction() as adding:
                assert await find_stream(
                    adding,
                    receiver_id=stream.receiver_id,
                    stream_id=stream.stream_id,
                    for_share=True,
                )
                await add(adding, stream.id, SIMPLE_A, complex_of(user="u"))
                deleting = race.create_task(
                    receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream.stream_id})
                )
                await until_somebody_waits_for_a_lock(postgres_database)

        assert deleting.result().status_code == 204
        await purge_all(postgres_database, now=NOW)
        async with postgres_database.reading() as connection:
            for table in (subject_rows, subject_shapes, subject_projections, deleted_targets):
                assert await count_of(connection, table) == 0


async def test_adds_removals_and_deletions_of_streams_at_once_leave_nothing_behind(
    transmitter: TransmitterUnderTest, database: Database
) -> None:
    for turn in range(6):
        receiver, stream = await _stream(transmitter)
        body = {"stream_id": stream.stream_id, "subject": complex_of(user="u").identifier}
        async with asyncio.TaskGroup() as race:
            asked = [
                race.create_task(receiver.http.post(f"/ssf/v1/subjects:{word}", json=body))
                for word in ("add", "remove", "add", "add")
            ]
            asked.insert(
                turn % 5,
                race.create_task(
                    receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream.stream_id})
                ),
            )
        assert {task.result().status_code for task in asked} <= {200, 204, 404}
    await purge_all(database, now=NOW)
    async with database.reading() as connection:
        for table in (subject_rows, subject_shapes, subject_projections, deleted_targets):
            assert await count_of(connection, table) == 0

"""Rows of receivers and tokens: unique names, hashes only, one project never sees another."""

import secrets

import pytest
from sqlalchemy import insert, select

from ssf.rules.access import RECEIVER_SCOPES, Scope
from ssf.rules.receivers import Receiver, ReceiverTerms
from ssf.rules.storage_errors import AlreadyThere, StorageError
from ssf.rules.subject_membership import DefaultSubjects
from ssf.store import receivers
from ssf.store.database import Connection, Database
from ssf.store.projects import ensure_default_project
from ssf.store.schema import access_tokens, projects
from ssf.store.schema import receivers as receiver_rows
from tests.clients import TransmitterUnderTest

NOW = 1_800_000_000_000_000


async def project_of(connection: Connection, name: str = "default") -> int:
    if name == "default":
        return await ensure_default_project(connection, now=NOW)
    added = await connection.execute(
        insert(projects).values(name=name, created_at=NOW).returning(projects.c.id)
    )
    return int(added.scalar_one())


async def add(
    connection: Connection, project_id: int, name: str = "alice", **more: object
) -> Receiver:
    client_id = str(more.pop("client_id", f"rcv_{secrets.token_hex(8)}"))
    terms: dict[str, object] = {
        "name": name,
        "audience": ("https://receiver.example.com",),
        "events_supported": None,
        "min_verification_interval_seconds": 60,
        "max_streams": None,
        "default_subjects": DefaultSubjects.ALL,
        "inactivity_timeout_seconds": None,
        "legacy_event_uris": False,
        "subject_in_event": None,
        **more,
    }
    return await receivers.add_receiver(
        connection,
        project_id=project_id,
        client_id=client_id,
        client_secret_hash="scrypt$hash",
        agreed=ReceiverTerms(**terms),  # type: ignore[arg-type]
        now=NOW,
    )


async def test_a_receiver_is_found_as_it_was_added(database: Database) -> None:
    async with database.transaction() as transaction:
        project_id = await project_of(transaction)
        added = await add(
            transaction,
            project_id,
            audience=("https://a.example.com", "https://b.example.com"),
            events_supported=("https://events.example.com/x",),
            min_verification_interval_seconds=0,
            max_streams=3,
        )
    async with database.reading() as connection:
        found = await receivers.find_receiver(
            connection, project_id=project_id, client_id=added.client_id
        )
    assert found == added
    assert found.audience == ("https://a.example.com", "https://b.example.com")
    assert found.events_supported == ("https://events.example.com/x",)
    assert (found.min_verification_interval_seconds, found.max_streams) == (0, 3)


async def test_no_list_of_event_types_is_not_an_empty_list(database: Database) -> None:
    async with database.transaction() as transaction:
        project_id = await project_of(transaction)
        everything = await add(transaction, project_id, "everything", events_supported=None)
        nothing = await add(transaction, project_id, "nothing", events_supported=())
    assert everything.events_supported is None
    assert nothing.events_supported == ()


async def test_a_name_is_taken_once_per_project(database: Database) -> None:
    async with database.transaction() as transaction:
        default = await project_of(transaction)
        other = await project_of(transaction, "other")
        await add(transaction, default)
        await add(transaction, other)

    with pytest.raises(AlreadyThere, match="alice"):
        async with database.transaction() as transaction:
            await add(transaction, default)


async def test_a_name_that_is_taken_undoes_the_transaction_and_nothing_else(
    database: Database,
) -> None:
    async with database.transaction() as transaction:
        project_id = await project_of(transaction)
        await add(transaction, project_id)

    with pytest.raises(AlreadyThere):
        async with database.transaction() as transaction:
            await add(transaction, project_id, "bob")
            await add(transaction, project_id, "alice")

    async with database.transaction() as transaction:
        await add(transaction, project_id, "carol")
        found = await receivers.list_receivers(
            transaction, project_id=project_id, after_id=0, limit=10
        )
    assert [receiver.name for receiver in found] == ["alice", "carol"]


async def test_receivers_are_listed_in_pages_in_the_order_in_which_they_came(
    database: Database,
) -> None:
    async with database.transaction() as transaction:
        project_id = await project_of(transaction)
        other = await project_of(transaction, "other")
        for name in ("c", "a", "d", "b"):
            await add(transaction, project_id, name)
            await add(transaction, other, name)

    names: list[str] = []
    after = 0
    async with database.reading() as connection:
        while page := await receivers.list_receivers(
            connection, project_id=project_id, after_id=after, limit=3
        ):
            names += [receiver.name for receiver in page]
            after = page[-1].id
    assert names == ["c", "a", "d", "b"]


async def test_a_receiver_of_another_project_is_not_there(database: Database) -> None:
    async with database.transaction() as transaction:
        default = await project_of(transaction)
        other = await project_of(transaction, "other")
        theirs = await add(transaction, other)
        found = await receivers.find_receiver(
            transaction, project_id=default, client_id=theirs.client_id
        )
    assert found is None


async def test_a_token_leads_to_its_receiver_and_its_scopes(database: Database) -> None:
    async with database.transaction() as transaction:
        receiver = await add(transaction, await project_of(transaction))
        for token, scopes in ((b"one", RECEIVER_SCOPES), (b"two", frozenset({Scope.SSF_READ}))):
            await receivers.add_access_token(
                transaction,
                receiver_id=receiver.id,
                token_hash=token,
                scopes=frozenset(scopes),
                now=NOW,
            )
    async with database.reading() as connection:
        one = await receivers.find_by_token_hash(connection, b"one")
        two = await receivers.find_by_token_hash(connection, b"two")
        none = await receivers.find_by_token_hash(connection, b"three")
    assert one == (receiver, frozenset(RECEIVER_SCOPES))
    assert two == (receiver, frozenset({Scope.SSF_READ}))
    assert none is None


async def test_removing_a_receiver_takes_its_tokens_along(database: Database) -> None:
    async with database.transaction() as transaction:
        project_id = await project_of(transaction)
        going = await add(transaction, project_id, "going")
        staying = await add(transaction, project_id, "staying")
        for receiver in (going, staying):
            await receivers.add_access_token(
                transaction,
                receiver_id=receiver.id,
                token_hash=receiver.name.encode(),
                scopes=frozenset(RECEIVER_SCOPES),
                now=NOW,
            )
        await receivers.remove_receiver(transaction, going.id)
    async with database.reading() as connection:
        hashes = (await connection.execute(select(access_tokens.c.token_hash))).scalars().all()
        names = (await connection.execute(select(receiver_rows.c.name))).scalars().all()
    assert hashes == [b"staying"]
    assert names == ["staying"]


async def test_a_receiver_that_still_has_streams_cannot_be_removed(
    transmitter: TransmitterUnderTest, database: Database
) -> None:
    """Whoever removes one takes the streams away first; the schema insists."""
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream("https://receiver.example.com/events")
    async with database.reading() as connection:
        row_id = (await connection.execute(select(receiver_rows.c.id))).scalar_one()

    with pytest.raises(StorageError):
        async with database.transaction() as transaction:
            await receivers.remove_receiver(transaction, row_id)

    assert (await receiver.http.get("/ssf/v1/streams")).status_code == 200


async def test_no_secret_is_stored_as_it_is(
    transmitter: TransmitterUnderTest, database: Database
) -> None:
    answer = await transmitter.http.post(
        "/admin/v1/receivers", json={"name": "canary", "audience": "https://a.example.com"}
    )
    said = answer.json()
    async with database.reading() as connection:
        stored = repr(
            [
                (await connection.execute(select(table))).all()
                for table in (receiver_rows, access_tokens)
            ]
        )
    assert said["client_id"] in stored
    assert said["client_secret"] not in stored
    assert said["access_token"] not in stored

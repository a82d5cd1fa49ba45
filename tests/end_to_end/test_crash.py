"""kill -9 at every step between accept and acknowledgement: nothing that was accepted is lost."""

import asyncio
import base64
import contextlib
import json
import random
import signal
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from ssf.store.database import Database
from ssf.store.schema import events, lanes
from tests import evil_receiver as evil
from tests.end_to_end.processes import (
    TIMEOUT_SECONDS,
    Server,
    add_push_stream,
    add_receiver,
    add_stream,
    event,
    serving,
)
from tests.evil_receiver import EvilReceiver, Exchange

pytestmark = pytest.mark.e2e


def claims_of(body: bytes) -> dict[str, Any]:
    part = body.decode().split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def let_leases_run_out(database_url: str) -> None:
    """As time would: on PostgreSQL the lease of the dead ends some seconds after the crash."""
    database = Database(database_url)
    async with database.transaction() as transaction:
        await transaction.execute(
            update(lanes)
            .where(lanes.c.lease_owner.is_not(None))
            .values(lease_expires_at=0, due_at=0)
        )
    await database.close()


async def test_what_was_accepted_before_a_crash_arrives_after_it(
    database_url: str, tmp_path: Path
) -> None:
    """The receiver is not there yet when the event is accepted and the server is killed."""
    port = a_free_port()
    async with serving(tmp_path, database_url) as server:
        await add_push_stream(server, f"http://127.0.0.1:{port}/events")
        await server.emit(1)
        await server.logged("push.attempt")
        [before] = await server.deliveries()
        assert await server.kill() == -signal.SIGKILL

    async with EvilReceiver(port=port) as receiver:
        receiver.on("/events", evil.answer(202))
        await let_leases_run_out(database_url)
        async with serving(tmp_path, database_url) as server:
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            await server.logged("push.attempt")
            [after] = await server.deliveries()
            assert await server.terminate() == 0

    claims = claims_of(receiver.requests[0].body)
    assert (claims["jti"], claims["txn"]) == (before["jti"], "1")
    assert (before["state"], after["state"]) == ("waiting", "delivered")
    assert after["jti"] == before["jti"]
    assert len(receiver.requests) == 1


async def test_f_05_a_set_whose_answer_was_lost_in_a_crash_is_sent_again_unchanged(
    database_url: str, tmp_path: Path
) -> None:
    """And, once recorded, never again."""
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.hang(), evil.answer(202))
        async with serving(tmp_path, database_url) as server:
            await add_push_stream(server, receiver.url("/events"))
            await server.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            await server.kill()

        await let_leases_run_out(database_url)
        async with serving(tmp_path, database_url) as server:
            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            await server.logged("push.attempt")
            await server.kill()
        first, second = (claims_of(body) for body in receiver.bodies)
        assert first == second

        await let_leases_run_out(database_url)
        async with serving(tmp_path, database_url) as server:
            await server.emit(2, "somebody else")
            await receiver.wait_for_requests(3, timeout_seconds=TIMEOUT_SECONDS)
            await server.logged("push.attempt")
            assert await server.terminate() == 0

    assert [claims_of(body)["txn"] for body in receiver.bodies] == ["1", "1", "2"]


async def test_f_04_on_postgresql_another_node_takes_up_the_lane_of_a_dead_one(
    postgres: Any, tmp_path: Path
) -> None:
    """Once the lease has run out it delivers, without a restart of anything."""
    name = await postgres.new_database()
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.hang(), evil.answer(202))
        async with (
            serving(tmp_path, postgres.url_of(name)) as one,
            serving(tmp_path, postgres.url_of(name)) as two,
        ):
            await add_push_stream(one, receiver.url("/events"))
            await one.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            holder = await _holder_of_the_lease(postgres.url_of(name))
            dead, living = (one, two) if holder == one.pid else (two, one)
            assert holder == dead.pid
            await dead.kill()
            await let_leases_run_out(postgres.url_of(name))

            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            await living.logged("push.attempt")
            [delivery] = await living.deliveries()
            assert await living.terminate() == 0
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    assert claims_of(receiver.bodies[0]) == claims_of(receiver.bodies[1])
    await postgres.drop(name)


async def _holder_of_the_lease(database_url: str) -> int:
    database = Database(database_url)
    async with database.reading() as connection:
        owner = (await connection.execute(select(lanes.c.lease_owner))).scalar_one()
    await database.close()
    assert owner is not None
    return int(owner.rpartition(":")[2])


async def test_f_24_a_process_that_was_stopped_past_its_lease_cannot_undo_what_another_did(
    postgres: Any, tmp_path: Path
) -> None:
    """SIGSTOP, the other node delivers, SIGCONT: the answer to the first push changes nothing."""
    name = await postgres.new_database()
    url = postgres.url_of(name)
    answer_first = asyncio.Event()

    async def refuse_late(exchange: Exchange) -> None:
        await answer_first.wait()
        await exchange.send(evil.answer_bytes(415))

    async with EvilReceiver() as receiver:
        receiver.on("/events", refuse_late, evil.answer(202))
        async with (
            serving(tmp_path, url, push_attempt_seconds=60) as one,
            serving(tmp_path, url, push_attempt_seconds=60) as two,
        ):
            await add_push_stream(one, receiver.url("/events"))
            await one.emit(1)
            await receiver.wait_for_requests(1, timeout_seconds=TIMEOUT_SECONDS)
            holder = await _holder_of_the_lease(url)
            stopped, living = (one, two) if holder == one.pid else (two, one)
            stopped.send(signal.SIGSTOP)
            await let_leases_run_out(url)
            await receiver.wait_for_requests(2, timeout_seconds=TIMEOUT_SECONDS)
            await living.logged("push.attempt")

            answer_first.set()
            stopped.send(signal.SIGCONT)
            await stopped.logged("worker.lease_lost")
            [delivery] = await living.deliveries()
            assert await stopped.terminate() == 0
            assert await living.terminate() == 0
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    await postgres.drop(name)


ROUNDS = 12


@dataclass
class Producers:
    """Emit events, each under its own key, as fast as they are answered, until nobody answers."""

    accepted: dict[int, str] = field(default_factory=dict)
    unanswered: list[int] = field(default_factory=list)
    begun: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, http: httpx.AsyncClient) -> None:
        with contextlib.suppress(httpx.HTTPError):
            while True:
                if not self.unanswered:
                    self.begun += 1
                    self.unanswered.append(self.begun)
                await self.emit_next(http)

    async def emit_next(self, http: httpx.AsyncClient) -> None:
        """Emits the next event; one that is not answered will be asked for again."""
        number = self.unanswered.pop(0)
        try:
            answer = await http.post(
                "/admin/v1/events",
                json=event(number, number % 5),
                headers={"Idempotency-Key": f"key-{number}"},
            )
        except httpx.HTTPError:
            self.unanswered.append(number)
            raise
        assert answer.status_code == 202, answer.text
        self.accepted[number] = answer.json()["event_id"]
        self.answered.set()

    async def until_killed(self, server: Server, *, after_first_answer: bool, wait: float) -> None:
        self.answered.clear()
        async with server.client() as http, asyncio.TaskGroup() as producers:
            for _ in range(3):
                producers.create_task(self.load(http))
            if after_first_answer:
                await self.answered.wait()
            await asyncio.sleep(wait)  # no synchronisation: the random moment of the crash
            await server.kill()


async def test_f_01_f_02_whatever_was_answered_202_arrives_however_often_the_server_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    """Under load, at random moments. What was not answered is asked for again with its key, and
    there is one event per key; per subject the order holds; a repeat has the claims of the first.
    """
    chance = random.Random(20_260_726)
    producers = Producers()
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.answer(202))
        async with serving(tmp_path, database_url) as server:
            owner = await add_receiver(server)
            for _ in range(2):
                await add_stream(server, owner, receiver.url("/events"))
            await server.kill()
        for turn in range(ROUNDS):
            async with serving(tmp_path, database_url) as server:
                await producers.until_killed(
                    server, after_first_answer=turn % 3 > 0, wait=chance.uniform(0, 0.08)
                )

        await let_leases_run_out(database_url)
        async with serving(tmp_path, database_url) as server:
            async with server.client() as http:
                while producers.unanswered:
                    await producers.emit_next(http)
            deliveries = await _all_settled(server)
            assert await server.terminate() == 0

    assert {*producers.accepted} == {*range(1, producers.begun + 1)}
    assert await _event_ids(database_url) == sorted(producers.accepted.values())
    assert {delivery["state"] for delivery in deliveries} == {"delivered"}
    assert len(deliveries) == 2 * producers.begun
    _assert_all_arrived_in_order(receiver, deliveries)


async def _all_settled(server: Server) -> list[dict[str, Any]]:
    while True:
        attempts = server.stderr.text.count("push.attempt")
        deliveries = await server.deliveries()
        if all(delivery["state"] != "waiting" for delivery in deliveries):
            return deliveries
        await server.logged("push.attempt", attempts + 1)


def _assert_all_arrived_in_order(
    receiver: EvilReceiver, deliveries: Sequence[Mapping[str, Any]]
) -> None:
    rows = {delivery["jti"]: delivery for delivery in deliveries}
    first: dict[str, dict[str, Any]] = {}
    order: dict[tuple[str, str], list[int]] = defaultdict(list)
    for body in receiver.bodies:
        claims = claims_of(body)
        assert first.setdefault(claims["jti"], claims) == claims
        row = rows[claims["jti"]]
        order[row["stream_id"], claims["sub_id"]["id"]].append(row["id"])
    assert {*first} == {*rows}
    for ids in order.values():
        assert ids == sorted(ids)


async def _event_ids(database_url: str) -> list[str]:
    database = Database(database_url)
    async with database.reading() as connection:
        found = sorted((await connection.execute(select(events.c.event_id))).scalars())
        leased = await connection.execute(
            select(func.count()).select_from(lanes).where(lanes.c.lease_owner.is_not(None))
        )
        assert leased.scalar_one() == 0
    await database.close()
    return found


async def test_a_poll_receiver_gets_again_what_it_had_not_acknowledged_before_the_crash(
    database_url: str, tmp_path: Path
) -> None:
    """F-07: fetched and not acknowledged, then a crash: the next poll has the same SETs."""
    async with serving(tmp_path, database_url) as server:
        owner = await add_receiver(server)
        stream_id = await add_stream(server, owner, None)
        for number in (1, 2):
            await server.emit(number)
        async with server.client(owner.access_token) as http:
            first = (await http.post(f"/ssf/v1/poll/{stream_id}", json={})).json()["sets"]
            one, other = first
            acked = await http.post(
                f"/ssf/v1/poll/{stream_id}",
                json={"ack": [one], "maxEvents": 0, "returnImmediately": True},
            )
            assert acked.status_code == 200
        await server.kill()

    async with serving(tmp_path, database_url) as server:
        async with server.client(owner.access_token) as http:
            again = await http.post(f"/ssf/v1/poll/{stream_id}", json={"returnImmediately": True})
        assert {*again.json()["sets"]} == {other}
        assert claims_of(again.json()["sets"][other].encode()) == claims_of(first[other].encode())
        assert await server.terminate() == 0

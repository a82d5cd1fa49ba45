"""A transmitter in this process, and clients that speak HTTP to it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from ssf.app import Transmitter, build_transmitter
from ssf.clock import Clock
from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    RISC_EVENT_TYPE_URIS,
    SCIM_EVENT_TYPE_URIS,
)
from ssf.settings import Settings
from ssf.store.database import Database
from tests.fakes import SilentLog

ISSUER = "https://ssf.example.com"
ADMIN_TOKEN = "an-admin-token-of-enough-characters"
SECRET_KEY = "a-secret-key-of-enough-characters-for-tests"
AUDIENCE = "https://receiver.example.com"

SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CREDENTIAL_CHANGE = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
TOKEN_CLAIMS_CHANGE = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"

PUSH = "urn:ietf:rfc:8935"
POLL = "urn:ietf:rfc:8936"

EVERYTHING_ON_OFFER = [*CAEP_EVENT_TYPE_URIS, *RISC_EVENT_TYPE_URIS, *SCIM_EVENT_TYPE_URIS]
"""The `events_supported` of a receiver to which nothing was restricted."""

SUBJECT = {"format": "email", "email": "user@example.com"}


@dataclass(kw_only=True)
class ReceiverUnderTest:
    """A receiver that has been added, and its own HTTP client."""

    client_id: str
    access_token: str
    http: httpx.AsyncClient

    async def create_stream(self, **body: Any) -> dict[str, Any]:
        """Creates a stream over SSF 1.0 and returns its configuration."""
        response = await self.http.post("/ssf/v1/streams", json=body)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    async def create_push_stream(
        self, endpoint_url: str, *events: str, **delivery: Any
    ) -> dict[str, Any]:
        """Creates a push stream for these event types."""
        return await self.create_stream(
            events_requested=list(events or (SESSION_REVOKED,)),
            delivery={"method": PUSH, "endpoint_url": endpoint_url, **delivery},
        )


@dataclass(kw_only=True)
class TransmitterUnderTest:
    """A transmitter, and its operator's HTTP client."""

    built: Transmitter
    http: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    log: SilentLog
    database: Database
    stack: contextlib.AsyncExitStack
    added: int = 0

    async def add_receiver(self, **body: Any) -> ReceiverUnderTest:
        """Adds a receiver over the admin API."""
        self.added += 1
        response = await self.http.post(
            "/admin/v1/receivers",
            json={"name": f"receiver {self.added}", "audience": AUDIENCE, **body},
        )
        assert response.status_code == 201, response.text
        added = response.json()
        client = await self.stack.enter_async_context(self._client(added["access_token"]))
        return ReceiverUnderTest(
            client_id=added["client_id"], access_token=added["access_token"], http=client
        )

    async def emit(
        self, event_type: str = "session-revoked", *, subject: Any = SUBJECT, **more: Any
    ) -> dict[str, Any]:
        """Emits an event over the admin API."""
        response = await self.http.post(
            "/admin/v1/events", json={"event_type": event_type, "subject": subject, **more}
        )
        assert response.status_code == 202, response.text
        emitted: dict[str, Any] = response.json()
        return emitted

    async def deliver(self) -> int:
        """Lets the worker go round until nothing is due; returns how many attempts it made."""
        attempts = 0
        while made := await self.built.worker.run_once():
            attempts += made
        return attempts

    async def deliveries(self, **query: str) -> list[dict[str, Any]]:
        """Deliveries as an operator sees them."""
        response = await self.http.get("/admin/v1/deliveries", params=query)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["deliveries"]
        return found

    def _client(self, token: str | None) -> httpx.AsyncClient:
        return client_of(self.built, token)


def client_of(built: Transmitter, token: str | None) -> httpx.AsyncClient:
    """An HTTP client of a transmitter in this process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(built.app, raise_app_exceptions=True),
        base_url=ISSUER,
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
    )


def settings_for_tests(**values: Any) -> Settings:
    """Settings of a transmitter that may push to loopback over http."""
    return Settings(
        **{
            "issuer": ISSUER,
            "admin_token": ADMIN_TOKEN,
            "secret_key": SECRET_KEY,
            "allow_http": True,
            "egress_allow": "127.0.0.0/8",
            "signing_algorithm": "ES256",
            **values,
        }
    )


@contextlib.asynccontextmanager
async def running_transmitter(
    database: Database, clock: Clock, **values: Any
) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter over this database, with `values` as settings."""
    log = SilentLog()
    built = await build_transmitter(
        settings_for_tests(**values), database=database, clock=clock, log=log
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(built.egress)
        yield TransmitterUnderTest(
            built=built,
            http=await stack.enter_async_context(client_of(built, ADMIN_TOKEN)),
            anonymous=await stack.enter_async_context(client_of(built, None)),
            log=log,
            database=database,
            stack=stack,
        )

"""The main job, end to end, with real processes: `make demo`.

A transmitter on an embedded SQLite file, a push receiver and a poll receiver. Every step prints
what was asked and what came back; a step that goes otherwise than it should ends the demo with
exit code 1.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from keys.remote_jwks import RemoteJwks, httpx_fetch
from receiver import SetVerifier

SSF = str(Path(sys.executable).parent / "ssf")
PUSH_RECEIVER = str(Path(__file__).with_name("push_receiver.py"))
AUDIENCE = "https://receiver.example.com"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CREDENTIAL_CHANGE = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
STREAM_UPDATED = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
STEP_SECONDS = 10.0


class DemoFailed(Exception):
    """A step did not go as it should."""


def require(is_right: bool, what: str) -> None:
    """Ends the demo unless a step went as it should."""
    if not is_right:
        raise DemoFailed(what)


class Steps:
    """Numbers and prints the steps."""

    def __init__(self) -> None:
        self._count = 0

    def step(self, title: str) -> None:
        """Begins the next step."""
        self._count += 1
        print(f"\n{self._count}. {title}", flush=True)

    def show(self, text: str) -> None:
        """Prints a line of the current step."""
        print(f"   {text}", flush=True)


class Process:
    """A process whose lines of standard output can be waited for."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running

    async def line(self, beginning: str) -> str:
        """The rest of the next line that begins like this."""
        assert self._running.stdout is not None
        async with asyncio.timeout(STEP_SECONDS):
            while raw := await self._running.stdout.readline():
                text = raw.decode("utf-8").rstrip()
                if text.startswith(beginning):
                    return text.removeprefix(beginning).strip()
        raise DemoFailed(f"a process ended before it said: {beginning}")


@contextlib.asynccontextmanager
async def process(
    *command: str, folder: Path, log: str, **environment: str
) -> AsyncIterator[Process]:
    """Starts a process and ends it afterwards."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSF_")}
    with (folder / log).open("wb") as errors:
        running = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**clean, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield Process(running)
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        await running.wait()


async def ssf(folder: Path, *words: str, **environment: str) -> Any:
    """Runs an `ssf` command and returns the JSON that it prints."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSF_")}
    running = await asyncio.create_subprocess_exec(
        SSF,
        *words,
        "--json",
        cwd=folder,
        env={**clean, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await running.communicate()
    require(running.returncode == 0, f"ssf {words[0]} exited with {running.returncode}")
    return json.loads(printed)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def main(folder: Path) -> None:
    """All steps."""
    steps = Steps()
    issuer = f"http://127.0.0.1:{free_port()}"
    port = issuer.rpartition(":")[2]

    steps.step("A transmitter starts on an embedded SQLite file")
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            process(SSF, "serve", "--dev", "--port", port, folder=folder, log="transmitter.log")
        )
        admin = {"SSF_ADMIN_TOKEN": await server.line("ssf: SSF_ADMIN_TOKEN="), "SSF_URL": issuer}
        await server.line("ssf: listening on")
        steps.show(f"$ ssf serve --dev --port {port}")
        steps.show(f"listening on {issuer} after {time.monotonic() - began:.1f} s")

        steps.step("The operator adds a receiver")
        added = await ssf(
            folder,
            "receivers",
            "add",
            "relying-party",
            "--audience",
            AUDIENCE,
            "--min-verification-interval",
            "60",
            **admin,
        )
        steps.show(f"$ ssf receivers add relying-party --audience {AUDIENCE}")
        steps.show(f"client_id {added['client_id']}, access_token {added['access_token'][:9]}…")
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=issuer,
                headers={"Authorization": f"Bearer {added['access_token']}"},
                trust_env=False,
            )
        )
        relying_party = await stack.enter_async_context(
            process(
                sys.executable,
                PUSH_RECEIVER,
                "--issuer",
                issuer,
                "--audience",
                AUDIENCE,
                "--authorization",
                "Bearer of-the-receiver",
                folder=folder,
                log="receiver.log",
            )
        )
        endpoint_url = await relying_party.line("receiving at")

        stream_id = await push_steps(steps, client, relying_party, endpoint_url, folder, admin)
        await pause_steps(steps, stream_id, relying_party, folder, admin)
        await older_profile_steps(steps, client, relying_party, folder, admin)
        await poll_steps(steps, stack, issuer, folder, admin)
    print("\nAll steps went as they should.")


async def push_steps(
    steps: Steps,
    client: httpx.AsyncClient,
    relying_party: Process,
    endpoint_url: str,
    folder: Path,
    admin: dict[str, str],
) -> str:
    """SSF 1.0: create, verify, emit, and verify too soon. Returns the stream's `stream_id`."""
    steps.step("The receiver discovers the transmitter and creates a push stream (SSF 1.0)")
    metadata = (await client.get("/.well-known/ssf-configuration")).json()
    created = await client.post(
        metadata["configuration_endpoint"],
        json={
            "events_requested": [SESSION_REVOKED],
            "delivery": {
                "method": "urn:ietf:rfc:8935",
                "endpoint_url": endpoint_url,
                "authorization_header": "Bearer of-the-receiver",
            },
            "description": "the demo",
        },
    )
    require(created.status_code == 201, created.text)
    stream = created.json()
    steps.show(f"POST /ssf/v1/streams -> 201, stream_id {stream['stream_id']}")
    steps.show(f"events_delivered {stream['events_delivered']}")

    steps.step("It asks for verification and gets it")
    asked = {"stream_id": stream["stream_id"], "state": "VGhpcyBpcyBhIHRlc3Q"}
    answered = await client.post(metadata["verification_endpoint"], json=asked)
    require(answered.status_code == 204, answered.text)
    steps.show("POST /ssf/v1/verify -> 204")
    verified = json.loads(await relying_party.line("verified"))
    require(verified["payload"] == {"state": asked["state"]}, "the state came back changed")
    steps.show(f"the receiver verified: {json.dumps(verified)}")

    steps.step("The identity provider ends a session")
    subject = {"format": "email", "email": "user@example.com"}
    payload = {"initiating_entity": "policy", "reason_admin": {"en": "Landspeed policy violation"}}
    emitted = await ssf(
        folder,
        "emit",
        "session-revoked",
        "--subject",
        json.dumps(subject),
        "--payload",
        json.dumps(payload),
        **admin,
    )
    steps.show(f"$ ssf emit session-revoked --subject '{json.dumps(subject)}' …")
    steps.show(f"stored: {json.dumps(emitted)}")
    verified = json.loads(await relying_party.line("verified"))
    require(verified["subject"] == subject and verified["payload"] == payload, "another event came")
    steps.show(f"the receiver verified: {json.dumps(verified)}")

    steps.step("It asks for verification too soon")
    refused = await client.post(metadata["verification_endpoint"], json=asked)
    require(refused.status_code == 429, refused.text)
    steps.show(f"POST /ssf/v1/verify -> 429, Retry-After: {refused.headers['retry-after']}")
    stream_id: str = stream["stream_id"]
    return stream_id


async def pause_steps(
    steps: Steps, stream_id: str, relying_party: Process, folder: Path, admin: dict[str, str]
) -> None:
    """An operator pauses the stream: events are held, and later sent in order."""
    steps.step("The operator pauses the stream; what comes meanwhile is held")
    await ssf(folder, "streams", "pause", stream_id, "--reason", "maintenance", **admin)
    steps.show("$ ssf streams pause … --reason maintenance")
    notice = json.loads(await relying_party.line("verified"))
    told = {"status": "paused", "reason": "maintenance"}
    require(notice["event"] == STREAM_UPDATED and notice["payload"] == told, "no notice came")
    steps.show(f"the receiver verified: {json.dumps(notice)}")
    for number in (1, 2, 3):
        subject = json.dumps({"format": "email", "email": "user@example.com"})
        txn = f"held-{number}"
        await ssf(folder, "emit", "session-revoked", "--subject", subject, "--txn", txn, **admin)
    shown = await ssf(folder, "streams", "show", stream_id, **admin)
    require(shown["health"]["waiting"] == 3, "the events are not held")
    steps.show(
        f"three events emitted; $ ssf streams show … -> waiting {shown['health']['waiting']}"
    )

    steps.step("The operator resumes it; what was held is sent in order")
    await ssf(folder, "streams", "resume", stream_id, **admin)
    steps.show("$ ssf streams resume …")
    came = [json.loads(await relying_party.line("verified")) for _ in range(4)]
    for verified in came:
        steps.show(
            f"the receiver verified: {verified['event'].rpartition('/')[2]} {verified['txn']}"
        )
    require(
        [one["txn"] for one in came if one["event"] == SESSION_REVOKED]
        == ["held-1", "held-2", "held-3"],
        "the held events came in another order",
    )
    notices = [one["payload"] for one in came if one["event"] == STREAM_UPDATED]
    require(notices == [{"status": "enabled"}], "the receiver was not told")


async def older_profile_steps(
    steps: Steps,
    client: httpx.AsyncClient,
    relying_party: Process,
    folder: Path,
    admin: dict[str, str],
) -> None:
    """The older profile: read, modify, replace."""
    steps.step("It replaces its configuration with the older profile")
    configuration = (await client.get("/sse/v1/stream")).json()
    steps.show(f"GET /sse/v1/stream -> delivery.method {configuration['delivery']['method']}")
    configuration["events_requested"] = [
        SESSION_REVOKED,
        CREDENTIAL_CHANGE,
        "https://example.com/x",
    ]
    replaced = await client.post("/sse/v1/stream", json=configuration)
    require(replaced.status_code == 200, replaced.text)
    delivered = replaced.json()["events_delivered"]
    require(set(delivered) == {SESSION_REVOKED, CREDENTIAL_CHANGE}, "another intersection")
    steps.show("POST /sse/v1/stream with three events_requested, of which two are supported -> 200")
    steps.show(f"events_delivered {delivered}")
    await ssf(
        folder,
        "emit",
        "credential-change",
        "--subject",
        json.dumps({"format": "email", "email": "user@example.com"}),
        "--payload",
        json.dumps({"credential_type": "password", "change_type": "update"}),
        **admin,
    )
    verified = json.loads(await relying_party.line("verified"))
    require(verified["event"] == CREDENTIAL_CHANGE, "another event came")
    steps.show(f"the receiver verified: {json.dumps(verified)}")


async def poll_steps(
    steps: Steps,
    stack: contextlib.AsyncExitStack,
    issuer: str,
    folder: Path,
    admin: dict[str, str],
) -> None:
    """Poll delivery: fetch, verify, acknowledge."""
    steps.step("Another receiver polls")
    audience = "https://poller.example.com"
    added = await ssf(folder, "receivers", "add", "poller", "--audience", audience, **admin)
    client = await stack.enter_async_context(
        httpx.AsyncClient(
            base_url=issuer,
            headers={"Authorization": f"Bearer {added['access_token']}"},
            trust_env=False,
            timeout=STEP_SECONDS,
        )
    )
    created = await client.post("/ssf/v1/streams", json={"events_requested": [SESSION_REVOKED]})
    require(created.status_code == 201, created.text)
    poll_url = created.json()["delivery"]["endpoint_url"]
    steps.show("POST /ssf/v1/streams without delivery -> 201, a poll stream")
    async with asyncio.TaskGroup() as both:
        # The poll waits at the server until the event is there.
        poll = both.create_task(client.post(poll_url, json={"maxEvents": 10}))
        subject = json.dumps({"format": "iss_sub", "iss": issuer, "sub": "1234"})
        both.create_task(ssf(folder, "emit", "session-revoked", "--subject", subject, **admin))
    sets = poll.result().json()["sets"]
    verifier = SetVerifier(
        issuer=issuer,
        audience=audience,
        keys=RemoteJwks(f"{issuer}/jwks.json", fetch=httpx_fetch(), monotonic=time.monotonic),
        now=time.time,
    )
    for jti, token in sets.items():
        verified = await verifier.verify(token)
        require(verified.jti == jti, "another SET came")
        steps.show(f"POST /ssf/v1/poll/… waited, then gave {jti}, and it verifies")
    acknowledged = await client.post(
        poll_url, json={"ack": list(sets), "returnImmediately": True, "maxEvents": 10}
    )
    require(len(sets) == 1 and acknowledged.json() == {"sets": {}}, "the SET was not acknowledged")
    steps.show("POST /ssf/v1/poll/… with its ack -> nothing left")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ssf-demo-") as name:
        try:
            asyncio.run(main(Path(name)))
        except (DemoFailed, TimeoutError, httpx.HTTPError) as failure:
            print(f"\nThe demo failed: {type(failure).__name__} {failure}", file=sys.stderr)
            for file in Path(name).glob("*.log"):
                print(f"--- {file.name}\n{file.read_text()[-2000:]}", file=sys.stderr)
            sys.exit(1)

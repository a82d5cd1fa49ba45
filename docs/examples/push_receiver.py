"""A complete push receiver: verifies every SET against the issuer's published keys and prints it.

    python docs/examples/push_receiver.py --issuer http://127.0.0.1:8080 --audience https://my-app.example.com

Needs uvicorn beside the base install; any ASGI server will do.
"""

import argparse
import asyncio
import json
import logging
import socket
import time

import uvicorn

from keys.remote_jwks import RemoteJwks, httpx_fetch
from receiver import Handlers, SetVerifier, VerifiedSet, push_endpoint
from ssf.protocol.events import Event

handlers = Handlers()


@handlers.on_any
async def print_event(event: Event, verified: VerifiedSet) -> None:
    """Your code: end the session, suspend the account, ..."""
    printed = {
        "event": event.event_type.uri,
        "subject": dict(verified.subject.identifier),
        "payload": event.to_payload(),
        "jti": verified.jti,
        "txn": verified.txn,
    }
    print(f"verified {json.dumps(printed)}", flush=True)


async def main() -> None:
    """Serves the endpoint at `/events` until a signal comes."""
    options = argparse.ArgumentParser(description="Print every SET that verifies.")
    options.add_argument("--issuer", required=True, help="whose SETs to believe")
    options.add_argument("--audience", required=True, help="the aud that is us")
    options.add_argument("--authorization", help="the Authorization value that pushes must carry")
    options.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asked = options.parse_args()
    logging.basicConfig(level=logging.WARNING)

    verifier = SetVerifier(
        issuer=asked.issuer,
        audience=asked.audience,
        keys=RemoteJwks(f"{asked.issuer}/jwks.json", fetch=httpx_fetch(), monotonic=time.monotonic),
        now=time.time,
    )
    app = push_endpoint(verifier, handlers, authorization=asked.authorization)

    listening = socket.create_server(("127.0.0.1", asked.port))
    print(f"receiving at http://127.0.0.1:{listening.getsockname()[1]}/events", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_config=None)).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(main())

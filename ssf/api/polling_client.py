"""Notices that a client which waits for an answer has gone away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from ssf.control.polling import PollingClient


@asynccontextmanager
async def watched_client(request: Request) -> AsyncIterator[PollingClient]:
    """A client that leaves when its connection ends. The request's body must have been read."""
    client = PollingClient()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        client.leave()

    refusal: Exception | None = None
    async with asyncio.TaskGroup() as watching:
        watcher = watching.create_task(watch())
        try:
            yield client
        except Exception as error:  # noqa: BLE001 - raised again below
            # Out of the group it would come wrapped, and lose its cause when it is unwrapped.
            refusal = error
        watcher.cancel()
    if refusal is not None:
        raise refusal

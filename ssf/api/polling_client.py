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

    try:
        async with asyncio.TaskGroup() as watching:
            watcher = watching.create_task(watch())
            yield client
            watcher.cancel()
    except BaseExceptionGroup as group:
        # A refusal out of the block is to reach the caller as what it is.
        raise group.exceptions[0] from None

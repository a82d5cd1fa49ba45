"""`/healthz` says that the process answers, `/readyz` that it does its work."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from ssf.api.operations import PublicOperation
from ssf.api.responses import json_response

Checks = Callable[[], Awaitable[Mapping[str, str]]]
"""Each part of the process and `ok`, or what is wrong with it."""


class Health:
    """Liveness and readiness."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    def operations(self) -> list[PublicOperation]:
        """Both, for anybody: neither says more than a word per part."""
        return [
            PublicOperation(method="GET", path="/healthz", endpoint=self.live),
            PublicOperation(method="GET", path="/readyz", endpoint=self.ready),
        ]

    async def live(self, _request: Request) -> Response:
        """200 as long as the process answers."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """200 when the database answers and the worker goes round its loop, else 503."""
        checks = await self._checks()
        is_ready = all(word == "ok" for word in checks.values())
        return json_response(
            {"status": "ok" if is_ready else "unready", "checks": dict(checks)},
            status=200 if is_ready else 503,
        )

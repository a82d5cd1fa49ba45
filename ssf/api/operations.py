"""One operation of the API: method, path, the scopes that permit it, and what is called.

Every route is made here from a table of operations, so a route without a stated scope cannot be
written, and a test can walk all of them.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssf.api.errors import HttpRefusal, error_response
from ssf.clock import Clock
from ssf.control.access_tokens import AccessTokens
from ssf.control.callers import Caller
from ssf.log import Log, origin_of
from ssf.rules.access import Scope, require_any_scope
from ssf.rules.errors import NotFound

Endpoint = Callable[[Request, Caller], Awaitable[Response]]
PublicEndpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation for callers that hold one of `scopes`; the first is the one to ask for."""

    method: str
    path: str
    scopes: tuple[Scope, ...]
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicOperation:
    """An operation that anybody may call."""

    method: str
    path: str
    endpoint: PublicEndpoint


AnyOperation = Operation | PublicOperation


class Dispatcher:
    """Makes routes of operations: who is calling, may they, call, answer, log."""

    def __init__(self, tokens: AccessTokens, clock: Clock, log: Log) -> None:
        self._tokens = tokens
        self._clock = clock
        self._log = log

    def routes(self, operations: Iterable[AnyOperation]) -> list[Route]:
        """One route per path, so that a wrong method is told which ones there are."""
        by_path: dict[str, dict[str, AnyOperation]] = defaultdict(dict)
        for operation in operations:
            assert operation.method not in by_path[operation.path], operation
            by_path[operation.path][operation.method] = operation
        return [self._route(path, by_method) for path, by_method in by_path.items()]

    def _route(self, path: str, by_method: Mapping[str, AnyOperation]) -> Route:
        async def respond(request: Request) -> Response:
            return await self._respond(request, path, by_method)

        route = Route(path, respond)
        # All methods come here, so that 405 has our body and is logged like everything else.
        route.methods = None
        return route

    async def _respond(
        self, request: Request, path: str, by_method: Mapping[str, AnyOperation]
    ) -> Response:
        started = self._clock.monotonic()
        caller: Caller | None = None
        failure: Exception | None = None
        try:
            operation = _operation(request, by_method)
            if isinstance(operation, PublicOperation):
                response = await operation.endpoint(request)
            else:
                caller = await self._tokens.authenticate(_authorization(request))
                require_any_scope(caller.scopes, operation.scopes)
                response = await operation.endpoint(request, caller)
        except Exception as error:  # noqa: BLE001 - the edge: nobody may be shown a traceback
            failure = error
            response = error_response(error)
        if failure is not None and response.status_code >= 500:
            self._log.error("request.failed", path=path, **origin_of(failure))
        self._log.info(
            "request",
            method=request.method,
            path=path,
            status=response.status_code,
            caller=None if caller is None else caller.name,
            duration_ms=round((self._clock.monotonic() - started) * 1000, 1),
        )
        return response


def _operation(request: Request, by_method: Mapping[str, AnyOperation]) -> AnyOperation:
    method = "GET" if request.method == "HEAD" else request.method
    if method not in by_method:
        allowed = ", ".join(sorted(by_method))
        raise HttpRefusal(
            f"This path takes {allowed}.",
            status=405,
            code="method_not_allowed",
            headers={"Allow": allowed},
        )
    return by_method[method]


def _authorization(request: Request) -> str | None:
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise HttpRefusal(
            "There must be one Authorization header.",
            status=400,
            code="invalid_request",
            headers={"WWW-Authenticate": 'Bearer error="invalid_request"'},
            field="Authorization",
        )
    return values[0] if values else None


def no_such_path(_request: Request, _error: Exception) -> Response:
    """The answer to a path that is no route."""
    return error_response(NotFound("There is nothing at this path."))

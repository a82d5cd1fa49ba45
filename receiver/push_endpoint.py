"""The endpoint to which a transmitter pushes (RFC 8935), as a plain ASGI application.

Serve it alone, or mount it at a path of your own application; it answers whatever path it gets.

The SET counts as accepted when its handlers have returned and the replay guard has remembered it:
only then is 202 sent. So work that takes long belongs into a queue of your own, not into a
handler. When a handler raises, the answer is 500, nothing is remembered, and the transmitter's
repeat reaches the handler again.

    202  empty            accepted, or accepted before
    400  err, description the SET is refused (RFC 8935 §2.3), in English
    401 405 408 413 415   empty; the request is refused before its SET is looked at
    500  empty            a handler raised
    503  empty            the issuer's keys cannot be had, or the same SET is being handled now

No answer and no log line holds the token, the subject, the `Authorization` value or the message
of an exception that a handler raised.
"""

import json
import logging
import math
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from receiver.dispatch import Handlers
from receiver.errors import HttpRefusal, SetRejected, TryAgainLater
from receiver.push_request import ClientGone, PushRequestRules, Receive, Scope, Send
from receiver.replay_guard import MemoryReplayGuard, ReplayGuard
from receiver.verify import SetVerifier
from ssf.protocol.errors import printable
from ssf.protocol.push import JSON_MEDIA_TYPE, error_body

AsgiApp = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

_log: Final = logging.getLogger(__name__)


def push_endpoint(
    verifier: SetVerifier,
    handlers: Handlers,
    *,
    authorization: str | None,
    replay_guard: ReplayGuard | None = None,
    body_seconds: float = 10.0,
) -> AsgiApp:
    """Make the application.

    Args:
        verifier: Whose SETs are accepted. Its `max_bytes` is the limit of the body.
        handlers: Your code.
        authorization: Exactly the `authorization_header` of the stream's delivery, such as
            `Bearer 2YotnFZFEjr1zCsicMWpAA`. None accepts pushes from everybody: the signature
            still tells forged SETs, but strangers may make you check them.
        replay_guard: None: one in memory, for this process alone.
        body_seconds: How long the body of a request may take to arrive.

    Raises:
        ValueError: `authorization` is empty, padded or not visible ASCII.
    """
    rules = PushRequestRules(
        authorization=authorization,
        max_body_bytes=verifier.max_bytes,
        body_seconds=body_seconds,
    )
    guard = MemoryReplayGuard() if replay_guard is None else replay_guard
    return _PushEndpoint(rules, verifier, handlers, guard)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class _PushEndpoint:
    def __init__(
        self,
        rules: PushRequestRules,
        verifier: SetVerifier,
        handlers: Handlers,
        replay_guard: ReplayGuard,
    ) -> None:
        self._rules = rules
        self._verifier = verifier
        self._handlers = handlers
        self._replay_guard = replay_guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _nothing_to_start(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            try:
                answer = await self._answer(scope, receive)
            except ClientGone:
                _log.info("the peer left early", extra={"action": "push_abandoned"})
            else:
                await _send(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        """The one table from what went wrong to what is answered."""
        try:
            self._rules.check_head(scope)
            await self._accept(await self._rules.read_body(scope, receive))
        except HttpRefusal as exc:
            _log.warning(
                "refused a request: %d", exc.status, extra={"action": "push_request_refused"}
            )
            return _Answer(exc.status, exc.headers)
        except SetRejected as exc:
            _log.warning(
                "refused a SET: %s",
                printable(exc.err, 100),
                extra={"action": "set_refused", "description": printable(exc.description, 300)},
            )
            return _refused(exc)
        except TryAgainLater as exc:
            _log.warning("put off a SET: %s", exc.reason, extra={"action": "set_put_off"})
            seconds = max(1, math.ceil(exc.retry_after_seconds))
            return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(seconds)})
        except ClientGone:
            raise
        except Exception as exc:  # noqa: BLE001  handlers are foreign code
            _log_crash(exc)
            return _Answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _Answer(HTTPStatus.ACCEPTED)

    async def _accept(self, body: bytes) -> None:
        verified = await self._verifier.verify(body)
        async with self._replay_guard.claim(verified.issuer, verified.jti) as is_new:
            if is_new:
                await self._handlers.dispatch(verified)
        _log.info(
            "accepted a SET" if is_new else "acknowledged a repeated SET",
            extra={
                "action": "set_accepted" if is_new else "set_repeated",
                "jti": printable(verified.jti, 100),
            },
        )


def _refused(exc: SetRejected) -> _Answer:
    return _Answer(
        HTTPStatus.BAD_REQUEST,
        {"Content-Type": JSON_MEDIA_TYPE, "Content-Language": "en"},
        json.dumps(error_body(exc.err, exc.description)).encode("ascii"),
    )


def _log_crash(exc: Exception) -> None:
    # Where, but not with what: the message of the exception may hold the subject.
    _log.error(
        "a SET could not be handled: %s\n%s",
        type(exc).__name__,
        "".join(traceback.format_tb(exc.__traceback__)),
        extra={"action": "set_not_handled"},
    )


async def _send(answer: _Answer, send: Send) -> None:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": answer.body})
    except OSError:
        # ASGI's word for a peer that is gone. It will repeat the SET and get the same answer.
        _log.info("the peer left before the answer", extra={"action": "push_abandoned"})


async def _nothing_to_start(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return

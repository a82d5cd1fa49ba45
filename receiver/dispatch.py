"""From a verified SET to your code.

    handlers = Handlers()

    @handlers.on("session-revoked")
    async def end_session(event: SessionRevoked, verified: VerifiedSet) -> None: ...

A handler that returns has taken the event; one that raises has not, and then the transmitter
sends the SET again and every handler of it runs again. So handlers must bear repetition.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeVar

from receiver.errors import SetRejected
from receiver.verify import VerifiedSet
from ssf.protocol.errors import UnknownEventType, printable
from ssf.protocol.event_types import find_event_type
from ssf.protocol.identifier_syntax import is_absolute_uri
from ssf.protocol.push import PushError
from ssf.protocol.ssf_events import Verification

Handler = Callable[[Any, VerifiedSet], object]
"""(event, the SET it came in); sync or async. What it returns is ignored."""

StateCheck = Callable[[Verification, VerifiedSet], bool | Awaitable[bool]]
"""(event, the SET it came in) -> whether its `state` is the one expected; sync or async."""

_AnyHandler = TypeVar("_AnyHandler", bound=Handler)
_AnyCheck = TypeVar("_AnyCheck", bound=StateCheck)

_log: Final = logging.getLogger(__name__)


class Handlers:
    """Which of your functions handle which events.

    Sync functions run in a worker thread, so that they may block; async ones on the event loop.
    The handlers of one SET run one after the other, in the order in which they were added, those
    of `on_any` last. There is no time limit: the transmitter has one.
    """

    def __init__(self, *, unprocessable_critical_members: Collection[str] = ()) -> None:
        """Start without any.

        Args:
            unprocessable_critical_members: Members of complex subjects that the transmitter's
                metadata names in `critical_subject_members` and that your handlers do not look
                at. An event about a subject with such a member means something else than they
                would think, so it is acknowledged and logged but not handled (SSF 1.0 §3).
        """
        self._unprocessable = frozenset(unprocessable_critical_members)
        self._by_uri: dict[str, list[Handler]] = {}
        self._any: list[Handler] = []
        self._state_check: StateCheck | None = None

    def on(self, event_type: str) -> Callable[[_AnyHandler], _AnyHandler]:
        """Decorate a handler of one event type.

        Args:
            event_type: A registered short name such as `session-revoked`, or any event type URI.

        Raises:
            ValueError: Neither of these.
        """
        uri = _event_type_uri(event_type)

        def add(handler: _AnyHandler) -> _AnyHandler:
            self._by_uri.setdefault(uri, []).append(handler)
            return handler

        return add

    def on_any(self, handler: _AnyHandler) -> _AnyHandler:
        """Decorate a handler of every event, also of those about streams and of unknown types."""
        self._any.append(handler)
        return handler

    def on_verification(self, check: _AnyCheck) -> _AnyCheck:
        """Decorate the function that knows which `state` was sent with a verification request.

        When it does not return a true value, the SET is refused with `invalid_state` and no other
        handler sees it. It is not asked about events without `state`: the transmitter started
        those on its own, and they are to be accepted (SSF 1.0 §8.1.4.1).

        Raises:
            ValueError: There is such a function already.
        """
        if self._state_check is not None:
            raise ValueError("on_verification is given already")
        self._state_check = check
        return check

    async def dispatch(self, verified: VerifiedSet) -> None:
        """Run the handlers of a SET. Returns when all have returned.

        Raises:
            SetRejected: `invalid_state`: the `state` of a verification event is not the one sent.
            Exception: Whatever a handler raised; those after it did not run.
        """
        if not self._unprocessable.isdisjoint(verified.subject.members):
            _log.warning(
                "not handled: the subject has a critical member that cannot be processed",
                extra={"action": "set_discarded", "jti": printable(verified.jti, 100)},
            )
            return
        for event in verified.events.values():
            if isinstance(event, Verification):
                await self._check_state(event, verified)
        for uri, event in verified.events.items():
            chosen = [*self._by_uri.get(uri, ()), *self._any]
            for handler in chosen:
                await _call(handler, event, verified)
            if not chosen and not isinstance(event, Verification):
                _log.info(
                    "no handler for event type %s",
                    printable(uri, 300),
                    extra={"action": "event_without_handler", "jti": printable(verified.jti, 100)},
                )

    async def _check_state(self, event: Verification, verified: VerifiedSet) -> None:
        if self._state_check is None or event.state is None:
            return
        if not await _call(self._state_check, event, verified):
            raise SetRejected(PushError.INVALID_STATE, "The state is not the one expected.")


def _event_type_uri(event_type: str) -> str:
    try:
        return find_event_type(event_type).uri
    except UnknownEventType:
        if is_absolute_uri(event_type):
            return event_type
        raise


async def _call(function: Handler, event: object, verified: VerifiedSet) -> object:
    if inspect.iscoroutinefunction(function):
        return await function(event, verified)
    result = await asyncio.to_thread(_without_stop_iteration, function, event, verified)
    # A callable object or lambda may turn out to be async only now.
    return await result if inspect.isawaitable(result) else result


def _without_stop_iteration(function: Handler, event: object, verified: VerifiedSet) -> object:
    # A future cannot carry StopIteration: in Python 3.11 the one who waits would wait for ever.
    try:
        return function(event, verified)
    except StopIteration as exc:
        raise RuntimeError("a handler raised StopIteration") from exc

"""Somebody else's JWK Set, fetched when needed and kept.

Two things must not happen: that a stranger who sends tokens with invented key ids makes us call
the issuer for each of them, and that an outage at the issuer stops us from verifying tokens whose
keys we already know. Hence a cooldown after every attempt, good or bad, and the last good set is
kept until a better one comes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from keys.errors import InvalidJwks, KeysError, KeysUnavailable, UnknownKey
from keys.http_fetch import httpx_fetch
from keys.public_key import PublicKey, keys_of, parse_jwks

__all__ = ["Fetch", "PublicKey", "RemoteJwks", "StaticJwks", "httpx_fetch", "parse_jwks"]

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets the document at a URL, within a time limit of its own. Raises KeysUnavailable."""

_UNKNOWN: Final = "The issuer publishes no usable key of this kid."
_NO_USABLE_KEY: Final = "The JWK Set has no usable key."
_GIVEN_UP: Final = "The JWK Set is not there yet: fetching it was given up."


class RemoteJwks:
    """The verification keys behind one `jwks_uri`, cached in memory. For one event loop."""

    def __init__(
        self,
        jwks_uri: str,
        *,
        fetch: Fetch,
        monotonic: Callable[[], float],
        cooldown_seconds: float = 30.0,
        max_age_seconds: float = 600.0,
    ) -> None:
        """Remember where the keys are; nothing is fetched yet.

        Args:
            jwks_uri: Handed to `fetch` as it is.
            fetch: See `Fetch` and `httpx_fetch`.
            monotonic: Seconds of a clock that never goes back, such as `time.monotonic`.
            cooldown_seconds: Least time from the start of one attempt to the next, whether it
                succeeded, failed or was cancelled; >= 0.
            max_age_seconds: Age at which a set is fetched again although it knows the kid; >= 0.
        """
        self._jwks_uri = jwks_uri
        self._fetch = fetch
        self._monotonic = monotonic
        self._cooldown_seconds = cooldown_seconds
        self._max_age_seconds = max_age_seconds
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at: float | None = None  # of the set in hand; None: there is none
        self._attempted_at: float | None = None  # start of the last attempt; None: none yet
        self._last_failure: str | None = None  # of the last attempt; None: it succeeded
        self._attempts_ended = 0  # not those that were cancelled
        self._lock = asyncio.Lock()
        self._callers_at_lock = 0

    async def find_key(self, kid: str) -> PublicKey:
        """The issuer's key of this id, from the cache if it is there and fresh.

        Otherwise the set is fetched, by one caller while the others wait for the outcome. A
        caller that is cancelled meanwhile takes only its own attempt with it: the next in line
        makes a new one. Who has a key that is merely stale does not wait for somebody else's.

        Raises:
            UnknownKey: The set, as last fetched, has no usable key of this id.
            KeysUnavailable: There is no such key in hand, and the last attempt to get the set
                failed, so nobody knows whether the issuer has it.
        """
        key = self._keys.get(kid)
        if key is not None and (self._is_fresh() or self._callers_at_lock):
            return key
        if self._callers_at_lock or self._has_cooled_down():
            await self._refresh_once()
        key = self._keys.get(kid)
        if key is not None:
            return key
        if self._last_failure is not None:
            raise KeysUnavailable(self._last_failure)
        raise UnknownKey(_UNKNOWN)

    @property
    def last_failure(self) -> str | None:
        """Why the last attempt to fetch got no set, in English; None when it did or none was made."""
        return self._last_failure

    def _is_fresh(self) -> bool:
        return (
            self._fetched_at is not None
            and self._monotonic() - self._fetched_at < self._max_age_seconds
        )

    def _has_cooled_down(self) -> bool:
        return (
            self._attempted_at is None
            or self._monotonic() - self._attempted_at >= self._cooldown_seconds
        )

    async def _refresh_once(self) -> None:
        ended = self._attempts_ended
        self._callers_at_lock += 1
        try:
            async with self._lock:
                # Whoever had the lock before may have done the work; if it was cancelled
                # instead, the work is ours now.
                if self._attempts_ended == ended:
                    await self._refresh()
        finally:
            self._callers_at_lock -= 1

    async def _refresh(self) -> None:
        started_at = self._monotonic()
        # At the start, so that a caller who always gives up early does not call the issuer
        # without a pause.
        self._attempted_at = started_at
        self._last_failure = _GIVEN_UP
        try:
            keys = parse_jwks(await self._fetch(self._jwks_uri))
        except KeysError as exc:
            failure: str | None = str(exc)
        except Exception as exc:  # noqa: BLE001  `fetch` is foreign code; an outage stays here
            failure = f"The JWK Set cannot be fetched: {type(exc).__name__}."
        else:
            # An empty set verifies nothing; it is far likelier to be an accident of the issuer
            # than its wish, and must not replace one that works.
            failure = None if keys else _NO_USABLE_KEY
            if keys:
                self._keys = keys
                self._fetched_at = started_at
        self._last_failure = failure
        self._attempts_ended += 1


class StaticJwks:
    """A JWK Set that is given once, for tests and for issuers configured by hand."""

    def __init__(self, document: bytes | Mapping[str, Any]) -> None:
        """Read the set.

        Args:
            document: JSON text, or the parsed document, such as `published_jwks` makes it.

        Raises:
            InvalidJwks: No JWK Set, or no usable key in it.
        """
        self._keys = parse_jwks(document) if isinstance(document, bytes) else keys_of(document)
        if not self._keys:
            raise InvalidJwks(_NO_USABLE_KEY)

    async def find_key(self, kid: str) -> PublicKey:
        """The key of this id.

        Raises:
            UnknownKey: There is none.
        """
        try:
            return self._keys[kid]
        except KeyError:
            raise UnknownKey(_UNKNOWN) from None

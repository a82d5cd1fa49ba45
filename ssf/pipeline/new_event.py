"""An event that a producer hands in, checked and not yet stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssf.protocol.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that is well-formed.

    Attributes:
        event_type: URI.
        payload: The event's members.
        txn: The producer's name for the cause; None: we make one.
        toe: When it happened, seconds since the epoch; None: not said.
        audience: Only targets with one of these `aud` values get it; None: all that want it.
    """

    project_id: int
    event_type: str
    subject: Subject
    payload: Mapping[str, Any]
    txn: str | None = None
    toe: float | None = None
    audience: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A producer's name for one request, so that repeating it makes no second event.

    Attributes:
        caller: Who said it; the same word from another caller is another key.
        key: The word.
        request_hash: SHA-256 of what was asked for.
    """

    caller: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of an event.

    Attributes:
        event_id: Our name for it.
        matched: How many targets get it.
        replayed: Whether the answer is that of an earlier request with the same key.
    """

    event_id: str
    matched: int
    replayed: bool = False

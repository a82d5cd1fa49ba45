"""A Shared Signals receiver: verifies Security Event Tokens and hands them to your code.

This package owns the relying party's side: believing a SET (`verify`), handling it once
(`replay_guard`), finding the code for its events (`dispatch`), and the HTTP answer to a push
(`push_endpoint`). It does not own keys (`keys`), nor what the words on the wire mean
(`ssf.protocol`), and it needs no web framework: the endpoint is a plain ASGI application.
"""

from receiver.dispatch import Handlers
from receiver.errors import (
    DuplicateInProgress,
    IssuerKeysUnavailable,
    ReceiverError,
    SetRejected,
    TryAgainLater,
)
from receiver.push_endpoint import push_endpoint
from receiver.replay_guard import MemoryReplayGuard, ReplayGuard
from receiver.verify import KeyFinder, SetVerifier, VerifiedSet

__all__ = [
    "DuplicateInProgress",
    "Handlers",
    "IssuerKeysUnavailable",
    "KeyFinder",
    "MemoryReplayGuard",
    "ReceiverError",
    "ReplayGuard",
    "SetRejected",
    "SetVerifier",
    "TryAgainLater",
    "VerifiedSet",
    "push_endpoint",
]

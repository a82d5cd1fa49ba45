"""Which scope permits which action."""

from enum import StrEnum

from ssf.rules.errors import InsufficientScope


class Scope(StrEnum):
    """What a token may be used for (CAEP interoperability profile §2.7.3, and our own)."""

    SSF_READ = "ssf.read"
    SSF_MANAGE = "ssf.manage"
    SSF_MANAGE_POLL = "ssf.manage.poll"
    EVENTS_WRITE = "events.write"
    ADMIN = "admin"


RECEIVER_SCOPES = frozenset({Scope.SSF_READ, Scope.SSF_MANAGE, Scope.SSF_MANAGE_POLL})
ADMIN_SCOPES = frozenset({Scope.ADMIN, Scope.EVENTS_WRITE})


def require_any_scope(held: frozenset[Scope], sufficient: tuple[Scope, ...]) -> None:
    """Refuses a caller that holds none of the scopes that permit an action.

    Args:
        held: The caller's scopes.
        sufficient: Scopes of which one is enough; the first is the one to ask for.

    Raises:
        InsufficientScope: Naming the scope to ask for (RFC 6750 §3.1).
    """
    if not held.intersection(sufficient):
        raise InsufficientScope(f"This needs the scope {sufficient[0]}.", scope=sufficient[0].value)

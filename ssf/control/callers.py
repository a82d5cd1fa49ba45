"""Who is calling. Every way to authenticate ends here, and the rest of the code sees only this."""

from dataclasses import dataclass

from ssf.rules.access import Scope
from ssf.rules.errors import InsufficientScope
from ssf.rules.receivers import Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller that has proved who it is.

    Attributes:
        name: Stable word for logs and idempotency: a `client_id`, or `admin`.
        project_id: The project whose rows it may see.
        scopes: What it may do.
        receiver: The receiver that it is; None for operators and producers.
    """

    name: str
    project_id: int
    scopes: frozenset[Scope]
    receiver: Receiver | None

    def require_receiver(self) -> Receiver:
        """The receiver that is calling.

        Raises:
            InsufficientScope: The caller is an operator; streams belong to receivers.
        """
        if self.receiver is None:
            raise InsufficientScope(
                "Streams belong to receivers; use a receiver's access token.",
                scope=Scope.SSF_MANAGE.value,
            )
        return self.receiver

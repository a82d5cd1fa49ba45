"""The status of a stream and what each does to events (SSF 1.0 §8.1.2.1)."""

from enum import StrEnum


class StreamStatus(StrEnum):
    """Whether a stream transmits.

    ENABLED transmits. PAUSED transmits nothing and holds what comes, to be sent later in order.
    DISABLED transmits nothing and holds nothing.
    """

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"

    @property
    def takes_events(self) -> bool:
        """Whether a new event gets a delivery row on a stream of this status."""
        return self is not StreamStatus.DISABLED

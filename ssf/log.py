"""One JSON line per thing that happened: a stable `action`, ids as fields.

Never in a log: a token, a SET, a subject, an `Authorization` value, a secret.
"""

import logging
import sys
from typing import Any, Protocol, cast

import structlog

LEVELS = ("debug", "info", "warning", "error")


class Log(Protocol):
    """Writes lines. `action` is the stable word, the rest are fields."""

    def debug(self, action: str, **fields: Any) -> Any:
        """What only a developer wants to see."""
        ...

    def info(self, action: str, **fields: Any) -> Any:
        """What happened."""
        ...

    def warning(self, action: str, **fields: Any) -> Any:
        """What an operator should look at some time."""
        ...

    def error(self, action: str, **fields: Any) -> Any:
        """What an operator should look at now."""
        ...

    def exception(self, action: str, **fields: Any) -> Any:
        """An error that we did not expect, with where it came from."""
        ...


def configure_log(level: str) -> Log:
    """Sends our lines and those of the libraries to standard error, as JSON."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("action"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING,
        format='{"action": "library", "logger": "%(name)s", "level": "%(levelname)s", "message": "%(message)s"}',
        force=True,
    )
    return cast(Log, structlog.get_logger())

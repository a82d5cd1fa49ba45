"""One JSON line per thing that happened: a stable `action`, ids as fields.

Never in a log: a token, a SET, a subject, an `Authorization` value, a secret.
"""

import contextlib
import json
import logging
import sys
import traceback
from typing import Any, Protocol, TextIO, cast

import structlog


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


def origin_of(error: BaseException) -> dict[str, Any]:
    """Where an error came from, as fields of a line: classes and frames, never its message.

    Messages of drivers and libraries quote what they were given: a subject, a token, a row.
    """
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 5:
        chain.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return {"error": " < ".join(chain), "stack": "".join(traceback.format_tb(error.__traceback__))}


class _Stderr:
    """Standard error, whose reader may go away: a lost line must not cost an event."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class _JsonLine(logging.Formatter):
    """Lines of the libraries, in the shape of ours."""

    def format(self, record: logging.LogRecord) -> str:  # type: ignore[explicit-override]
        line = {
            "logger": record.name,
            "message": record.getMessage(),
            "level": record.levelname.lower(),
            "action": "library",
        }
        if record.exc_info and record.exc_info[1]:
            line |= origin_of(record.exc_info[1])
        return json.dumps(line)


def configure_log(level: str) -> Log:
    """Sends our lines and those of the libraries to standard error, as JSON."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("action"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    return cast(Log, structlog.get_logger())

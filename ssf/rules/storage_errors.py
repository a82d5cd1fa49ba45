"""What can go wrong with the database. Raised by `ssf.store`; no driver's exception leaves it.

StorageError
|-- StorageUnavailable      not reachable, or the connection was lost
|-- StorageBusy             another writer held the lock for too long
|-- StorageFull             the disk, or the size that was set for the database
|-- SchemaOutdated          migrations are pending, or the database is newer than this program
|-- DatabaseInUse           another process serves from the SQLite file
|-- AlreadyThere            a unique name is taken
`-- LeaseLost               another worker holds the lane by now
"""

from typing import ClassVar


class StorageError(Exception):
    """The database did not do what was asked.

    Attributes:
        code: Stable word for programs.
        retry_after_seconds: When trying again makes sense; None when an operator must act.
    """

    code: ClassVar[str] = "storage_error"
    retry_after_seconds: ClassVar[int | None] = None


class StorageUnavailable(StorageError):
    """The database cannot be reached, or the connection was lost on the way."""

    code = "storage_unavailable"
    retry_after_seconds = 1


class StorageBusy(StorageError):
    """Another writer held the database for longer than we wait."""

    code = "storage_busy"
    retry_after_seconds = 1


class StorageFull(StorageError):
    """No room for another row."""

    code = "storage_full"
    retry_after_seconds = 60


class SchemaOutdated(StorageError):
    """The tables are not those that this program knows."""

    code = "schema_outdated"


class DatabaseInUse(StorageError):
    """Another process serves from the SQLite file.

    Attributes:
        pid: Its number, or None when it cannot be read.
    """

    code = "database_in_use"

    def __init__(self, path: str, pid: int | None) -> None:
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"The database {path} is in use by {who}. One process at a time serves from an "
            "SQLite file; stop the other one, or use PostgreSQL (SSF_DATABASE_URL=postgresql://…)."
        )
        self.pid = pid


class AlreadyThere(StorageError):
    """A name that must be unique is taken."""

    code = "already_there"


class LeaseLost(StorageError):
    """The lane was leased to another worker meanwhile; nothing was written."""

    code = "lease_lost"

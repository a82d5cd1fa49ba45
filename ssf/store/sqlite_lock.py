"""One process per SQLite file: a lock beside it that ends with the process, however it ends."""

import fcntl
import os
from pathlib import Path

from sqlalchemy import make_url

from ssf.rules.storage_errors import DatabaseInUse, StorageUnavailable


class SqliteLock:
    """Holds the lock from `take` to `release`."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database
        assert path is not None
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock without waiting.

        Raises:
            DatabaseInUse: Another process holds it.
            StorageUnavailable: The folder of the database cannot be written to.
        """
        path = Path(f"{self._path}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.read(descriptor, 20)
            os.close(descriptor)
            raise DatabaseInUse(self._path, int(words) if words.isdigit() else None) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode("ascii"))
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets the lock go; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

"""The secrets of `ssf serve --dev`: made once, kept in a file beside the database."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from keys.secret_box import generate_secret
from ssf.settings import BadConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class DevSecrets:
    """Secrets for development.

    Attributes:
        path: The file that holds them, readable by its owner only.
        is_new: Whether they were made just now.
    """

    admin_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    path: Path
    is_new: bool


def load_dev_secrets(database_url: str) -> DevSecrets:
    """The development secrets that belong to a database; made when there are none.

    Raises:
        BadConfiguration: The file cannot be read or written.
    """
    return find_dev_secrets(database_url) or _make(_path(database_url))


def find_dev_secrets(database_url: str) -> DevSecrets | None:
    """The development secrets that belong to a database; None when there are none.

    Raises:
        BadConfiguration: The file cannot be read.
    """
    path = _path(database_url)
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(
            f"{path} cannot be read; move it away, and the database with it."
        ) from error


def _path(database_url: str) -> Path:
    if not database_url.startswith("sqlite:///"):
        return Path("ssf.dev-secrets.json")
    return Path(f"{database_url.removeprefix('sqlite:///')}.dev-secrets.json")


def _read(path: Path) -> DevSecrets:
    kept = json.loads(path.read_text(encoding="utf-8"))
    return DevSecrets(
        admin_token=kept["admin_token"], secret_key=kept["secret_key"], path=path, is_new=False
    )


def _make(path: Path) -> DevSecrets:
    made = {"admin_token": generate_secret(), "secret_key": generate_secret()}
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(made, file)
    return DevSecrets(**made, path=path, is_new=True)

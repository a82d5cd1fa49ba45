"""Settings: read once, from the environment and `ssf.toml`, and frozen.

Each setting `x` is `SSF_X` in the environment, or `SSF_X_FILE` naming a file that holds the
value, or the key `x` in `ssf.toml` of the working directory; the environment wins. A key that we
do not know is refused, since a setting that is silently ignored is a trap.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

PREFIX = "SSF_"
_NOT_SETTINGS = frozenset({"SSF_URL", "SSF_ENV"})
"""Names of ours in the environment that are read elsewhere."""

_NOT_SETTINGS_PREFIX = "SSF_TEST_"
CONFIGURATION_FILE = "ssf.toml"
_MIN_SECRET_CHARS = {"admin_token": 8, "secret_key": 16}
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What can stand behind `Authorization: Bearer` (RFC 6750 §2.1)."""

STRONG_SECRET_CHARS = 32
"""Shorter secrets are taken, and `ssf serve` says at each start that they are weak."""


class BadConfiguration(Exception):
    """A setting is wrong; the message names it, where it came from and what it takes."""


class Settings(BaseModel):
    """Every setting of the transmitter.

    Attributes:
        issuer: https URL, may have a path, neither query nor fragment.
        database_url: `sqlite:///path` or `postgresql://user:password@host/name`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        admin_token: Opens `/admin/v1`, 8 characters or more, better 32; unset: the admin API is closed.
        secret_key: Encrypts secrets at rest, 16 characters or more, better 32.
        egress_allow: Networks that may be called although private, comma-separated, at any port.
        allow_http: Permits http issuers and push endpoints.
        log_level: debug, info, warning or error.
        signing_algorithm: JWS algorithm of the SETs.
        min_verification_interval_seconds: For receivers that were added without one.
        max_streams_per_receiver: For receivers that were added without a limit.
        default_subjects: For receivers that were added without it: whether their streams hold
            ALL subjects, or NONE but those that they add; published in the metadata.
        critical_subject_members: Members of complex subjects that receivers must understand,
            comma-separated; published in the metadata, empty for none.
        push_attempt_seconds: Longest time one push may take, all in all.
        push_in_flight: Pushes to one receiver at a time.
        poll_wait_seconds: Longest time a poll is held open.
        poll_visibility_seconds: How long a polled SET that is not acknowledged is kept from other
            polls; 0 hands it out again at once.
        subject_removal_grace_seconds: How long events about a subject go on after a receiver
            removed it, against removals that an attacker made.
        max_subjects_per_stream: How many subjects a stream's list may have.
        sse_missing_required: What a missing property means to `POST /sse/v1/stream`.
        sse_auto_provision: Whether the older profile shows a default stream to a receiver
            that has none.
        sse_format_fallback: What a stream of the older profile gets when the subject format that
            it wants cannot be made.
        oauth_events: Whether the event types of the OAuth draft of 2018 are on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: str | None = None
    database_url: str = Field(default="sqlite:///./ssf.db", repr=False)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    admin_token: SecretStr | None = None
    secret_key: SecretStr | None = None
    egress_allow: str = ""
    allow_http: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    signing_algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"
    min_verification_interval_seconds: int = Field(default=60, ge=0, le=86_400)
    max_streams_per_receiver: int = Field(default=100, ge=1, le=10_000)
    default_subjects: Literal["ALL", "NONE"] = "ALL"
    critical_subject_members: str = ""
    push_attempt_seconds: int = Field(default=15, ge=1, le=60)
    push_in_flight: int = Field(default=16, ge=1, le=256)
    poll_wait_seconds: int = Field(default=30, ge=1, le=300)
    poll_visibility_seconds: int = Field(default=30, ge=0, le=3_600)
    subject_removal_grace_seconds: int = Field(default=0, ge=0, le=31_536_000)
    max_subjects_per_stream: int = Field(default=1_000_000, ge=1, le=100_000_000)
    sse_missing_required: Literal["reject", "delete"] = "reject"
    sse_auto_provision: bool = True
    sse_format_fallback: Literal["most_private", "send_as_is", "drop"] = "most_private"
    oauth_events: bool = False

    @field_validator("admin_token", "secret_key")
    @classmethod
    def _check_length(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        least = _MIN_SECRET_CHARS[info.field_name or ""]
        if secret is not None and len(secret.get_secret_value()) < least:
            raise ValueError(
                f"needs at least {least} characters; make one with: openssl rand -base64 32"
            )
        return secret

    @field_validator("admin_token")
    @classmethod
    def _check_alphabet(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _BEARER_TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("may hold letters, digits and -._~+/ only, and = at its end")
        return token


def read_settings(
    environment: Mapping[str, str], *, directory: Path, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Reads the settings.

    Args:
        environment: Usually `os.environ`.
        directory: Where `ssf.toml` may lie.
        overrides: Values from the command line, which win; None values are left out.

    Raises:
        BadConfiguration: Something is unknown, unreadable or out of range.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, found in (
        (CONFIGURATION_FILE, _from_file(directory / CONFIGURATION_FILE)),
        ("the environment", _from_environment(environment)),
        ("the command line", {k: v for k, v in (overrides or {}).items() if v is not None}),
    ):
        values.update(found)
        sources.update(dict.fromkeys(found, source))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise BadConfiguration(_explain(error, sources)) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} cannot be read as UTF-8 text.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(f"{path} is not TOML: {error}.") from error
    for name in values:
        _require_known(name, f"{path}: {name}")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if (
            not variable.startswith(PREFIX)
            or variable in _NOT_SETTINGS
            or variable.startswith(_NOT_SETTINGS_PREFIX)
        ):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields and name.endswith("_file"):
            name = name.removesuffix("_file")
            if f"{PREFIX}{name.upper()}" in environment:
                raise BadConfiguration(f"Set {PREFIX}{name.upper()} or {variable}, not both.")
            _require_known(name, variable)
            values[name] = _file_value(variable, text)
        else:
            _require_known(name, variable)
            values[name] = text
    return values


def _file_value(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{variable}: the file {path} cannot be read.") from error


def _require_known(name: str, where: str) -> None:
    if name not in Settings.model_fields:
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = f" Did you mean {near[0]} ({PREFIX}{near[0].upper()})?" if near else ""
        raise BadConfiguration(f"{where} is not a setting.{hint}")


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0])
        lines.append(
            f"{PREFIX}{name.upper()} (from {sources.get(name, 'its default')}): {_sentence(problem['msg'])}."
        )
    return " ".join(lines)


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")

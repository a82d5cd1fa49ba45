"""Settings: where they come from, which wins, and what is said when one is wrong (F-138)."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ssf.app import (
    critical_subject_members,
    egress_policy,
    issuer_of,
    open_database,
    require_complete,
    secret_box_of,
)
from ssf.settings import BadConfiguration, Settings, read_settings

TOKEN = "token-of-more-than-thirty-two-characters"
KEY = "a-key-of-more-than-thirty-two-characters!"

EVERY_SETTING: dict[str, tuple[str, str, Any]] = {
    # name: as text, as TOML, what it becomes
    "issuer": ("https://ssf.example", '"https://ssf.example"', "https://ssf.example"),
    "database_url": ("sqlite:///a.db", '"sqlite:///a.db"', "sqlite:///a.db"),
    "host": ("0.0.0.0", '"0.0.0.0"', "0.0.0.0"),
    "port": ("9090", "9090", 9090),
    "admin_token": (TOKEN, f'"{TOKEN}"', SecretStr(TOKEN)),
    "secret_key": (KEY, f'"{KEY}"', SecretStr(KEY)),
    "egress_allow": ("10.0.0.0/8,::1/128", '"10.0.0.0/8,::1/128"', "10.0.0.0/8,::1/128"),
    "allow_http": ("1", "true", True),
    "log_level": ("debug", '"debug"', "debug"),
    "signing_algorithm": ("ES256", '"ES256"', "ES256"),
    "min_verification_interval_seconds": ("0", "0", 0),
    "max_streams_per_receiver": ("3", "3", 3),
    "default_subjects": ("NONE", '"NONE"', "NONE"),
    "critical_subject_members": ("user, device", '"user, device"', "user, device"),
    "push_attempt_seconds": ("5", "5", 5),
    "push_in_flight": ("2", "2", 2),
    "poll_wait_seconds": ("9", "9", 9),
    "poll_visibility_seconds": ("0", "0", 0),
    "subject_removal_grace_seconds": ("60", "60", 60),
    "max_subjects_per_stream": ("10", "10", 10),
    "sse_missing_required": ("delete", '"delete"', "delete"),
    "sse_auto_provision": ("false", "false", False),
    "sse_format_fallback": ("drop", '"drop"', "drop"),
    "oauth_events": ("1", "true", True),
}

every_setting = pytest.mark.parametrize("name", EVERY_SETTING)


def read(tmp_path: Path, **environment: str) -> Settings:
    return read_settings(environment, directory=tmp_path)


def complaint(tmp_path: Path, **environment: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        read(tmp_path, **environment)
    return str(caught.value)


def write_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "ssf.toml").write_text(text, encoding="utf-8")


# ------------------------------------------------------------------ sources


def test_every_setting_is_in_this_file():
    assert set(EVERY_SETTING) == set(Settings.model_fields)


@every_setting
def test_a_value_that_is_tried_here_is_not_the_default(name):
    assert getattr(Settings(), name) != EVERY_SETTING[name][2]


@every_setting
def test_a_setting_comes_from_the_environment(tmp_path, name):
    text, _, expected = EVERY_SETTING[name]
    settings = read(tmp_path, **{f"SSF_{name.upper()}": text})
    assert settings == Settings(**{name: expected})


@every_setting
def test_a_setting_comes_from_a_file_that_the_environment_names(tmp_path, name):
    text, _, expected = EVERY_SETTING[name]
    path = tmp_path / "value"
    path.write_text(f"{text}\n", encoding="utf-8")
    settings = read(tmp_path, **{f"SSF_{name.upper()}_FILE": str(path)})
    assert settings == Settings(**{name: expected})


@every_setting
def test_a_setting_comes_from_ssf_toml(tmp_path, name):
    _, toml, expected = EVERY_SETTING[name]
    write_toml(tmp_path, f"{name} = {toml}\n")
    assert read(tmp_path) == Settings(**{name: expected})


def test_all_settings_come_together(tmp_path):
    environment = {f"SSF_{name.upper()}": text for name, (text, _, _) in EVERY_SETTING.items()}
    expected = {name: value for name, (_, _, value) in EVERY_SETTING.items()}
    assert read(tmp_path, **environment).model_dump() == expected


def test_nothing_given_is_all_defaults_and_a_closed_admin_api(tmp_path):
    settings = read(tmp_path)
    assert settings == Settings()
    assert (settings.issuer, settings.admin_token, settings.secret_key) == (None, None, None)
    assert (settings.port, settings.database_url) == (8080, "sqlite:///./ssf.db")
    assert (settings.sse_missing_required, settings.sse_auto_provision) == ("reject", True)
    assert (settings.allow_http, settings.oauth_events) == (False, False)


# ------------------------------------------------------------------ precedence


def test_the_environment_wins_over_ssf_toml(tmp_path):
    write_toml(tmp_path, 'port = 1\nhost = "from.toml"\n')
    settings = read(tmp_path, SSF_PORT="2")
    assert (settings.port, settings.host) == (2, "from.toml")


def test_a_file_that_the_environment_names_wins_over_ssf_toml(tmp_path):
    write_toml(tmp_path, "port = 1\n")
    (tmp_path / "port").write_text("3")
    assert read(tmp_path, SSF_PORT_FILE=str(tmp_path / "port")).port == 3


def test_the_command_line_wins_over_everything_and_none_is_no_value(tmp_path):
    write_toml(tmp_path, 'port = 1\nhost = "from.toml"\n')
    settings = read_settings(
        {"SSF_PORT": "2", "SSF_LOG_LEVEL": "debug"},
        directory=tmp_path,
        overrides={"port": 4, "host": None, "log_level": None},
    )
    assert (settings.port, settings.host, settings.log_level) == (4, "from.toml", "debug")


def test_ssf_toml_is_read_from_the_given_directory_only(tmp_path):
    write_toml(tmp_path, "port = 1\n")
    (tmp_path / "below").mkdir()
    assert read_settings({}, directory=tmp_path / "below").port == 8080


# ------------------------------------------------------------------ unknown names


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SSF_ISUER", "SSF_ISSUER"),
        ("SSF_DATABASE", "SSF_DATABASE_URL"),
        ("SSF_ADMIN_TOKENS", "SSF_ADMIN_TOKEN"),
        ("SSF_EGRESS_ALLOWED", "SSF_EGRESS_ALLOW"),
        ("SSF_SECRET_KEE_FILE", "SSF_SECRET_KEY"),
        ("SSF_SSE_MISSING_REQIRED", "SSF_SSE_MISSING_REQUIRED"),
    ],
)
def test_an_unknown_variable_is_refused_and_the_closest_setting_named(tmp_path, variable, meant):
    said = complaint(tmp_path, **{variable: "x"})
    assert variable in said
    assert re.search(rf"\b{meant}\b", said)


def test_an_unknown_variable_like_no_setting_is_refused_too(tmp_path):
    said = complaint(tmp_path, SSF_QQQQ="secret-value")
    assert "SSF_QQQQ" in said
    assert "secret-value" not in said


def test_an_unknown_key_of_ssf_toml_is_refused_and_the_closest_setting_named(tmp_path):
    write_toml(tmp_path, 'isuer = "https://ssf.example"\n')
    said = complaint(tmp_path)
    assert "ssf.toml" in said
    assert "isuer" in said
    assert "SSF_ISSUER" in said


def test_a_table_in_ssf_toml_is_an_unknown_key(tmp_path):
    write_toml(tmp_path, "[server]\nport = 1\n")
    assert "server" in complaint(tmp_path)


def test_names_of_others_and_of_tests_are_no_settings(tmp_path):
    settings = read(
        tmp_path,
        PATH="/bin",
        ISSUER="x",
        MY_SSF_PORT="x",
        SSF_URL="http://127.0.0.1:8080",
        SSF_ENV="test",
        SSF_TEST_POSTGRES_URL="postgresql://x",
    )
    assert settings == Settings()


# ------------------------------------------------------------------ files


@every_setting
def test_a_value_and_a_file_for_it_are_refused_together(tmp_path, name):
    text = EVERY_SETTING[name][0]
    variable = f"SSF_{name.upper()}"
    (tmp_path / "value").write_text(text)
    for order in ((variable, f"{variable}_FILE"), (f"{variable}_FILE", variable)):
        given = {variable: text, f"{variable}_FILE": str(tmp_path / "value")}
        said = complaint(tmp_path, **{key: given[key] for key in order})
        assert f"{variable}_FILE" in said
        assert re.search(rf"\b{variable}\b", said)


def test_a_file_that_is_missing_is_named(tmp_path):
    path = str(tmp_path / "missing")
    said = complaint(tmp_path, SSF_ADMIN_TOKEN_FILE=path)
    assert "SSF_ADMIN_TOKEN_FILE" in said
    assert path in said


def test_a_file_that_is_a_folder_is_refused(tmp_path):
    assert "SSF_PORT_FILE" in complaint(tmp_path, SSF_PORT_FILE=str(tmp_path))


def test_a_file_that_is_no_text_is_refused_and_not_quoted(tmp_path):
    path = tmp_path / "value"
    path.write_bytes(b"hunter2\xff\xfe")
    said = complaint(tmp_path, SSF_SECRET_KEY_FILE=str(path))
    assert "SSF_SECRET_KEY_FILE" in said
    assert "hunter2" not in said


def test_an_ssf_toml_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "ssf.toml").mkdir()
    assert "ssf.toml" in complaint(tmp_path)


@pytest.mark.parametrize("text", ["port = ", "port", "port = 1\nport = 2", "=", "[port"])
def test_an_ssf_toml_that_is_no_toml_is_refused(tmp_path, text):
    write_toml(tmp_path, text)
    assert "ssf.toml" in complaint(tmp_path)


def test_an_ssf_toml_that_is_no_utf_8_is_refused(tmp_path):
    (tmp_path / "ssf.toml").write_bytes('host = "b\u00fcro"\n'.encode("latin-1"))
    assert "ssf.toml" in complaint(tmp_path)


def test_a_broken_ssf_toml_is_not_quoted(tmp_path):
    write_toml(tmp_path, 'admin_token = "hunter2hunter2hunter2hunter2hunter2\n')
    assert "hunter2" not in complaint(tmp_path)


# ------------------------------------------------------------------ bad values

BAD_VALUES = {
    "port": ["-1", "65536", "http", "", "80.5"],
    "admin_token": ["", "hunter2"],
    "secret_key": ["", "hunter2", "x" * 15],
    "allow_http": ["maybe", "", "2"],
    "log_level": ["verbose", "INFO", ""],
    "signing_algorithm": ["none", "HS256", "rs256"],
    "min_verification_interval_seconds": ["-1", "86401", "1.5", "1m"],
    "max_streams_per_receiver": ["0", "10001"],
    "default_subjects": ["all", "none", "SOME", ""],
    "push_attempt_seconds": ["0", "61"],
    "push_in_flight": ["0", "257"],
    "poll_wait_seconds": ["0", "301"],
    "sse_missing_required": ["ignore", "REJECT", ""],
    "sse_auto_provision": ["perhaps", ""],
    "sse_format_fallback": ["send-as-is", "DROP", ""],
    "oauth_events": ["some", ""],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
def test_a_bad_value_names_the_variable_and_its_source(tmp_path, name, value):
    said = complaint(tmp_path, **{f"SSF_{name.upper()}": value})
    assert f"SSF_{name.upper()}" in said
    assert "environment" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", '"http"'),
        ("host", "1"),
        ("allow_http", '"maybe"'),
        ("issuer", "7"),
        ("database_url", "[]"),
        ("admin_token", "12345678901234567890123456789012"),
    ],
)
def test_a_bad_value_in_ssf_toml_names_the_setting_and_the_file(tmp_path, name, text):
    write_toml(tmp_path, f"{name} = {text}\n")
    said = complaint(tmp_path)
    assert f"SSF_{name.upper()}" in said
    assert "ssf.toml" in said


def test_a_bad_value_of_the_command_line_says_so(tmp_path):
    with pytest.raises(BadConfiguration, match=r"SSF_PORT .*command line"):
        read_settings({}, directory=tmp_path, overrides={"port": 99_999})


def test_every_bad_value_is_named_at_once(tmp_path):
    said = complaint(tmp_path, SSF_PORT="x", SSF_LOG_LEVEL="x", SSF_PUSH_IN_FLIGHT="0")
    for variable in ("SSF_PORT", "SSF_LOG_LEVEL", "SSF_PUSH_IN_FLIGHT"):
        assert variable in said


@pytest.mark.parametrize("name", ["admin_token", "secret_key"])
def test_a_bad_secret_is_never_echoed(tmp_path, name):
    variable = f"SSF_{name.upper()}"
    assert "hunter2" not in complaint(tmp_path, **{variable: "hunter2"})
    (tmp_path / "value").write_text("hunter2")
    assert "hunter2" not in complaint(tmp_path, **{f"{variable}_FILE": str(tmp_path / "value")})
    write_toml(tmp_path, f'{name} = ["hunter2"]\n')
    with pytest.raises(BadConfiguration) as caught:
        read(tmp_path)
    shown = [caught.value, caught.value.__cause__]
    assert "hunter2" not in "".join(map(repr, shown))
    with pytest.raises(ValidationError) as raw:
        Settings.model_validate({name: "hunter2"})
    assert "hunter2" not in str(raw.value)


@pytest.mark.parametrize("other", ["SSF_PORT", "SSF_QQQQ"])
def test_a_good_secret_is_not_echoed_when_another_value_is_bad(tmp_path, other):
    said = complaint(tmp_path, **{other: "x", "SSF_ADMIN_TOKEN": TOKEN, "SSF_SECRET_KEY": KEY})
    assert TOKEN not in said
    assert KEY not in said


def test_the_shortest_secrets_that_are_taken_have_8_and_16_characters(tmp_path):
    settings = read(tmp_path, SSF_ADMIN_TOKEN="x" * 8, SSF_SECRET_KEY="y" * 16)
    assert settings.admin_token == SecretStr("x" * 8)
    assert settings.secret_key == SecretStr("y" * 16)


def test_no_secret_is_in_the_repr():
    settings = Settings(
        admin_token=SecretStr(TOKEN),
        secret_key=SecretStr(KEY),
        database_url="postgresql://ssf:hunter2@db.example/ssf",
    )
    for text in (repr(settings), str(settings)):
        assert TOKEN not in text
        assert KEY not in text
        assert "hunter2" not in text


@every_setting
def test_settings_are_frozen(name):
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, name, EVERY_SETTING[name][2])
    assert settings == Settings()


def test_settings_take_no_unknown_name():
    with pytest.raises(ValidationError):
        Settings(isuer="https://ssf.example")  # type: ignore[call-arg]


# ------------------------------------------------------------------ values that are looked at later


@pytest.mark.parametrize(
    "url",
    ["nonsense", "", "mysql://u:hunter2@h/ssf", "redis://h", "sqlite://", "sqlite:///:memory:",
     "sqlite:////no/such/folder/ssf.db", "postgresql://u:hunter2@h:port/ssf"],
)  # fmt: skip
def test_a_database_url_that_we_cannot_use_names_the_variable_and_no_password(url):
    with pytest.raises(BadConfiguration, match="SSF_DATABASE_URL") as caught:
        open_database(Settings(database_url=url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "ssf.example", "ftp://ssf.example", "http://ssf.example", "https://", "https://ssf.example?a=b", "https://ssf.example#a",
     "https://user@ssf.example", "https://ssf.example/ a"],
)  # fmt: skip
def test_an_issuer_that_is_no_https_url_names_the_variable(url):
    with pytest.raises(BadConfiguration, match="SSF_ISSUER"):
        issuer_of(Settings(issuer=url))


def test_a_missing_issuer_and_a_missing_secret_key_say_what_to_do():
    with pytest.raises(BadConfiguration, match="SSF_ISSUER is missing"):
        issuer_of(Settings())
    with pytest.raises(BadConfiguration, match="SSF_SECRET_KEY is missing"):
        secret_box_of(Settings())


def test_an_http_issuer_needs_permission():
    url = "http://127.0.0.1:8080"
    assert issuer_of(Settings(issuer=url, allow_http=True)) == url
    with pytest.raises(BadConfiguration, match="SSF_ALLOW_HTTP"):
        issuer_of(Settings(issuer=url))


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "10.0.0.1/8", "localhost", "*"])
def test_networks_that_are_none_name_the_variable(networks):
    with pytest.raises(BadConfiguration, match="SSF_EGRESS_ALLOW"):
        egress_policy(Settings(egress_allow=networks))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("  ", ()),
        ("user", ("user",)),
        ("user, device ,user,org unit", ("user", "device", "org unit")),
        ("x" * 256, ("x" * 256,)),
    ],
)
def test_critical_subject_members_are_names_separated_by_commas(text, names):
    assert critical_subject_members(Settings(critical_subject_members=text)) == names


@pytest.mark.parametrize(
    "text", [",", "user,", "user,,device", "x" * 257, "a\tb", "a\u202eb", "user,format"]
)
def test_critical_subject_members_that_are_no_names_keep_the_server_from_starting(text):
    settings = Settings(
        issuer="https://ssf.example", secret_key=SecretStr(KEY), critical_subject_members=text
    )
    with pytest.raises(BadConfiguration, match="SSF_CRITICAL_SUBJECT_MEMBERS"):
        require_complete(settings)

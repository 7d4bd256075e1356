"""Settings: flag, environment, file, default; each knows where it came from."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.limits import Limits
from bolide.server.settings import Settings, parse_flag, read_settings

PASSWORD = "mongodb://app:hunter2@db"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "bolide.toml") -> Path:
    file = Path(name)
    file.write_text(text, encoding="utf-8")
    return file


def test_every_setting_is_documented() -> None:
    for setting in fields(Settings):
        assert f"{setting.name}: " in str(Settings.__doc__)


def test_nothing_given_means_defaults() -> None:
    settings = read_settings()
    assert settings == Settings()
    assert set(settings.origins.values()) == {"default"}
    assert set(settings.origins) >= {"port", "store", "max_json_depth"}
    assert (settings.publication_timeout_s, settings.method_timeout_s) == (30, 60)
    assert (settings.heartbeat_interval_s, settings.heartbeat_timeout_s) == (15, 15)


def test_a_flag_wins_over_the_environment_over_the_file() -> None:
    write('host = "::1"\nport = 1\nmethod_timeout_s = 5\nmax_json_depth = 7\n')
    settings = read_settings(
        {"port": 3, "store": None}, {"BOLIDE_PORT": "2", "BOLIDE_HOST": "127.0.0.2", "HOME": "/"}
    )
    assert (settings.host, settings.port) == ("127.0.0.2", 3)
    assert settings.method_timeout_s == 5
    assert settings.limits == Limits(max_json_depth=7)
    assert {name: place for name, place in settings.origins.items() if place != "default"} == {
        "host": "environment BOLIDE_HOST",
        "port": "flag --port",
        "method_timeout_s": "bolide.toml",
        "max_json_depth": "bolide.toml",
    }


def test_another_file_may_be_named() -> None:
    file = write("port = 4000", "ward.toml")
    settings = read_settings(file=file)
    assert settings.port == 4000
    assert settings.origins["port"] == "ward.toml"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("BOLIDE_PORT", "0", 0),
        ("BOLIDE_STORE", PASSWORD, PASSWORD),
        ("BOLIDE_PUBLIC_URL", "https://ward.example.org", "https://ward.example.org"),
        ("BOLIDE_PUBLIC_URL", "", None),
        ("BOLIDE_ALLOWED_ORIGINS", "https://a, https://b", ("https://a", "https://b")),
        ("BOLIDE_ALLOWED_ORIGINS", "", ()),
        ("BOLIDE_INSECURE_DEV", "true", True),
        ("BOLIDE_INSECURE_DEV", "1", True),
        ("BOLIDE_INSECURE_DEV", "False", False),
        ("BOLIDE_MANAGEMENT_PORT", "9000", 9000),
        ("BOLIDE_MANAGEMENT_PORT", "", None),
        ("BOLIDE_HEARTBEAT_INTERVAL_S", "0.5", 0.5),
    ],
)
def test_variables_are_read_by_kind(name: str, text: str, value: object) -> None:
    settings = read_settings(environment={name: text})
    assert getattr(settings, name.removeprefix("BOLIDE_").lower()) == value


def test_a_limit_is_read_from_the_environment() -> None:
    settings = read_settings(environment={"BOLIDE_MAX_JSON_DEPTH": "8"})
    assert settings.limits.max_json_depth == 8
    assert settings.origins["max_json_depth"] == "environment BOLIDE_MAX_JSON_DEPTH"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BOLIDE_PORT", "65536"),
        ("BOLIDE_PORT", "-1"),
        ("BOLIDE_PORT", "http"),
        ("BOLIDE_PORT", "\u0663"),
        ("BOLIDE_HOST", ""),
        ("BOLIDE_INSECURE_DEV", "maybe"),
        ("BOLIDE_METHOD_TIMEOUT_S", "0"),
        ("BOLIDE_METHOD_TIMEOUT_S", "nan"),
        ("BOLIDE_METHOD_TIMEOUT_S", "inf"),
        ("BOLIDE_METHOD_TIMEOUT_S", "soon"),
        ("BOLIDE_MAX_JSON_DEPTH", "0"),
        ("BOLIDE_ALLOWED_ORIGINS", "https://a,,https://b"),
    ],
)
def test_a_bad_variable_is_reported_by_its_name(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(environment={name: text})
    assert caught.value.option == name


@pytest.mark.parametrize(
    "text",
    [
        'port = "3000"',
        "port = true",
        "host = 5",
        'insecure_dev = "yes"',
        "method_timeout_s = true",
        'allowed_origins = "https://a"',
        "allowed_origins = [1]",
        "max_json_depth = 0",
    ],
)
def test_a_bad_value_in_the_file_is_reported_by_its_key(text: str) -> None:
    write(text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert caught.value.option == text.partition(" ")[0]


def test_a_list_in_the_file_is_taken() -> None:
    write('allowed_origins = ["https://a"]')
    assert list(read_settings().allowed_origins) == ["https://a"]


@pytest.mark.parametrize(
    ("read", "option", "near"),
    [
        (lambda: read_settings({"prot": 1}), "--prot", "--port"),
        (
            lambda: read_settings(environment={"BOLIDE_HEARTBEAT_TIMOUT_S": "1"}),
            "BOLIDE_HEARTBEAT_TIMOUT_S",
            "BOLIDE_HEARTBEAT_TIMEOUT_S",
        ),
        (
            lambda: read_settings(environment={"BOLIDE_MAX_JSON_DEPHT": "1"}),
            "BOLIDE_MAX_JSON_DEPHT",
            "BOLIDE_MAX_JSON_DEPTH",
        ),
        (lambda: read_settings(file=write("metod_timeout_s = 1")), "metod_timeout_s", "method_t"),
        (lambda: read_settings(environment={"BOLIDE_XQZ": "1"}), "BOLIDE_XQZ", None),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(
    read: Any, option: str, near: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert caught.value.option == option
    hint = "`bolide doctor` lists them" if near is None else f"did you mean {near}"
    assert hint in str(caught.value)


def test_variables_of_tests_are_no_settings() -> None:
    environment = {"BOLIDE_TESTS_TIMEOUT_FACTOR": "2", "BOLIDE_MONGOD": "/m", "BOLIDE_PYTHON27": ""}
    assert read_settings(environment=environment) == Settings()


@pytest.mark.parametrize("text", ["port = ", "\0"])
def test_a_file_that_is_no_toml_is_refused(text: str) -> None:
    file = write(text)
    with pytest.raises(ConfigurationError, match=r"bolide\.toml"):
        read_settings(file=file)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('port = 1\nstore = "secret\n', "at line 2, column 16"),
        ('store = """secret', "at end of document"),
        ("secret = 1\nsecret = 2\n", "at line 2, column 11"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_the_place_and_nothing_of_it(
    text: str, place: str
) -> None:
    file = write(text)
    with pytest.raises(ConfigurationError, match=rf"readable TOML: look {place}\.$") as caught:
        read_settings(file=file)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_named_must_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        read_settings(file=Path("nowhere.toml"))


def test_a_store_url_is_never_shown() -> None:
    assert "hunter2" not in repr(Settings(store=PASSWORD))
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"store": [PASSWORD]})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("ward.example.org", False),
    ],
)
def test_insecure_dev_is_for_loopback_only(host: str, loopback: bool) -> None:
    if loopback:
        assert Settings(host=host, insecure_dev=True).insecure_dev
    else:
        with pytest.raises(ConfigurationError, match="insecure_dev"):
            Settings(host=host, insecure_dev=True)


@pytest.mark.parametrize(("given", "missing"), [("tls_key", "tls_cert"), ("tls_cert", "tls_key")])
def test_certificate_and_key_come_together(given: str, missing: str) -> None:
    options: dict[str, Any] = {given: "node.pem"}
    with pytest.raises(ConfigurationError) as caught:
        Settings(**options)
    assert str(caught.value) == f"{missing} is not set, but must be set together with {given}."
    assert Settings(tls_cert="node.pem", tls_key="key.pem").tls_key == "key.pem"


_TLS = {"tls_cert": "node.pem", "tls_key": "key.pem"}


@pytest.mark.parametrize(
    ("options", "missing", "given"),
    [
        ({"tls_client_ca": "ca.pem", "cluster": "ward"}, "tls_cert", "tls_client_ca"),
        ({**_TLS, "tls_client_ca": "ca.pem"}, "cluster", "tls_client_ca"),
        ({**_TLS, "cluster": "ward"}, "tls_client_ca", "cluster"),
        ({**_TLS, "tls_denied": "denied.txt"}, "tls_client_ca", "tls_denied"),
        ({**_TLS, "announce": "10.0.0.11"}, "tls_client_ca", "announce"),
    ],
)
def test_what_a_cluster_needs_comes_together(
    options: dict[str, Any], missing: str, given: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**options)
    assert str(caught.value) == f"{missing} is not set, but must be set together with {given}."


_OF_CLUSTER = {**_TLS, "tls_client_ca": "ca.pem", "cluster": "ward"}


@pytest.mark.parametrize("host", ["", "10.0.0.11:3000", "[fd00::1]", "-n1", "a b", "x" * 300])
def test_what_is_no_host_is_not_announced(host: str) -> None:
    with pytest.raises(ConfigurationError, match="without port"):
        Settings(announce=host, **_OF_CLUSTER)  # type: ignore[arg-type]
    for good in ("10.0.0.11", "fd00::1", "n1.example.org"):
        assert Settings(announce=good, **_OF_CLUSTER).announce == good  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [-1, 1001, True, "1"])
def test_a_weight_that_cannot_be_is_refused(weight: Any) -> None:
    with pytest.raises(ConfigurationError, match="0 to 1000"):
        Settings(announce_weight=weight)


@pytest.mark.parametrize("name", ["", "Ward", "ward 7", "x" * 64])
def test_a_cluster_that_no_certificate_can_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="small letters, digits"):
        Settings(tls_cert="node.pem", tls_key="key.pem", tls_client_ca="ca.pem", cluster=name)


def test_what_is_missing_is_spelled_as_what_was_given() -> None:
    with pytest.raises(ConfigurationError, match=r"^--tls-key is not .* with --tls-cert\.$"):
        read_settings({"tls_cert": "node.pem"})
    with pytest.raises(ConfigurationError, match=r"^BOLIDE_TLS_CERT .* with BOLIDE_TLS_KEY\.$"):
        read_settings(environment={"BOLIDE_TLS_KEY": "key.pem"})


@pytest.mark.parametrize("text", ["80x", "", "-1", "65536"])
def test_text_of_a_flag_is_read_like_that_of_a_variable(text: str) -> None:
    assert parse_flag("port", "80") == 80
    with pytest.raises(ConfigurationError, match=f"^--port is '?{text}'?, but must be a port, 0"):
        parse_flag("port", text)


def test_the_environment_changes_only_the_limits_it_names() -> None:
    settings = read_settings(environment={"BOLIDE_MAX_JSON_DEPTH": "8", "HOME": "/"})
    assert settings.limits == Limits(max_json_depth=8)


@pytest.mark.parametrize("text", ["", "eight", "8.5", "0", "-1", "1_000", "\u0668", "9" * 5_000])
def test_a_limit_that_is_no_whole_number_is_reported_with_its_variable(text: str) -> None:
    with pytest.raises(ConfigurationError, match="BOLIDE_MAX_JSON_DEPTH is ") as caught:
        read_settings(environment={"BOLIDE_MAX_JSON_DEPTH": text})
    assert str(caught.value.value) == text


def test_redis_is_a_secret_and_its_stream_a_name() -> None:
    settings = read_settings(None, {"BOLIDE_REDIS": "rediss://:hunter2@cache"})
    assert settings.redis == "rediss://:hunter2@cache"
    assert "hunter2" not in repr(settings)
    for name in ("", "a b", "{a}", "a\n"):
        with pytest.raises(ConfigurationError, match="without spaces and braces"):
            Settings(redis_stream=name)
    with pytest.raises(ConfigurationError) as caught:
        Settings(redis=("rediss://:hunter2@cache",))  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)

"""Doctor: tells every setting and its place, and no secret."""

import re
from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.doctor.doctor import doctor_lines, inspect_store, shown_url
from bolide.server.settings import Settings, read_settings


def report(settings: Settings) -> str:
    return "\n".join(doctor_lines(settings))


def test_every_setting_and_limit_is_told_with_its_place() -> None:
    environment = {
        "BOLIDE_PORT": "8080",
        "BOLIDE_MAX_JSON_DEPTH": "8",
        "BOLIDE_ALLOWED_ORIGINS": "https://a.example,https://b.example",
        "BOLIDE_INSECURE_DEV": "1",
    }
    text = report(read_settings(environment=environment))
    assert re.search(r"^  port +8080 +environment BOLIDE_PORT$", text, re.M)
    assert re.search(r"^  max_json_depth +8 +environment BOLIDE_MAX_JSON_DEPTH$", text, re.M)
    assert re.search(r"^  max_subscriptions +1000 +default$", text, re.M)
    assert re.search(r"^  allowed_origins +https://a\.example, https://b\.example +env", text, re.M)
    assert re.search(r"^  insecure_dev +on +env", text, re.M)
    assert re.search(r"^  public_url +- +default$", text, re.M)


def test_name_and_value_are_never_run_together() -> None:
    rows = [line for line in doctor_lines(read_settings()) if line.startswith("  ")]
    assert any(re.match(r"  max_stored_results_bytes +67108864 ", row) for row in rows)
    # All values begin in one column.
    assert len({re.match(r"  \S+ +", row).end() for row in rows}) == 1  # type: ignore[union-attr]


def test_versions_of_python_and_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bolide.ops.doctor.doctor._LIBRARIES", ("bolide", "no-such-library"))
    text = report(Settings())
    assert re.search(r"^  Python +3\.", text, re.M)
    assert re.search(r"^  bolide +\d", text, re.M)
    assert re.search(r"^  no-such-library +not installed$", text, re.M)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///./ward.db", "sqlite:///./ward.db"),
        ("sqlite:////var/ward.db", "sqlite:////var/ward.db"),
        ("memory:", "memory:"),
        ("mongodb://me:secret@one,two/ward?authSource=secret", "mongodb://***@one,two/ward?***"),
        ("rediss://:secret@cache/0?ssl_ca_certs=secret", "rediss://***@cache/0?***"),
        ("redis+sentinel://me:secret@a,b/ward", "redis+sentinel://***@a,b/ward"),
        ("redis://cache:secret/0", "(hidden)"),
        ("mongodb://one:27017,two:secret/ward", "(hidden)"),
        (
            "mongodb://one:27017,[::1]:27018,[::1],two/ward",
            "mongodb://one:27017,[::1]:27018,[::1],two/ward",
        ),
        ("unix://:secret@/run/redis.sock", "unix://***@/run/redis.sock"),
        ("https://ward.example.org/", "https://ward.example.org/"),
        ("sqlite:///a?secret", "sqlite:///a?***"),
        ("http://[secret", "(hidden)"),
    ],
)
def test_secrets_in_urls_are_hidden(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_store_in_a_folder_that_is_not_there_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="create"):
        inspect_store(Settings(store=f"sqlite:///{tmp_path / 'no' / 'ward.db'}"))


def test_a_store_without_a_file_has_no_report() -> None:
    assert inspect_store(Settings(store="memory:")) is None

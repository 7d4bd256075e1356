import os
from pathlib import Path

import pytest
import structlog

from bolide.core.errors import ConfigurationError
from bolide.core.fingerprints import fingerprint
from bolide.server.web.tls import denied_file
from bolide.server.web.tls.denied_file import DeniedFile

_ONE, _TWO = fingerprint(b"one"), fingerprint(b"two")


class Writer:
    """Writes a file whose time of change is another each time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._time = 1_000_000_000

    def __call__(self, text: str | bytes) -> str:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self._time += 1
        os.utime(self.path, (self._time, self._time))
        return str(self.path)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "denied.txt")


def test_a_list_is_read_again_when_it_changed(write: Writer) -> None:
    denied = DeniedFile(write(f"{_ONE}\n"))
    assert (denied.holds(_ONE), denied.holds(_TWO)) == (True, False)
    write(f"{_TWO}\n")
    assert (denied.holds(_ONE), denied.holds(_TWO)) == (False, True)


@pytest.mark.parametrize("text", [f"{_TWO}\n0123\n", b"\xff\xfe", None])
def test_a_list_that_cannot_be_used_leaves_the_one_before_and_is_told_once(
    write: Writer, text: str | bytes | None
) -> None:
    denied = DeniedFile(write(f"{_ONE}\n"))
    if text is None:
        write.path.unlink()
    else:
        write(text)
    with structlog.testing.capture_logs() as told:
        assert [denied.holds(_ONE), denied.holds(_ONE), denied.holds(_TWO)] == [True, True, False]
    assert [entry["log_level"] for entry in told] == ["error"]
    assert _TWO not in str(told)
    write(f"{_TWO}\n")
    assert (denied.holds(_ONE), denied.holds(_TWO)) == (False, True)


@pytest.mark.parametrize(
    ("text", "told"), [("0123\n", "Line 1"), (b"\xff", "UTF-8"), (None, "No such file")]
)
def test_a_node_does_not_begin_with_a_list_that_is_none(
    write: Writer, text: str | bytes | None, told: str
) -> None:
    if text is not None:
        write(text)
    with pytest.raises(ConfigurationError, match=f"^tls_denied .*{told}"):
        DeniedFile(str(write.path))


def test_a_list_is_bounded(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denied_file, "MAX_FILE_BYTES", 64)
    DeniedFile(write(_ONE))
    with pytest.raises(ConfigurationError, match="larger than 64 bytes"):
        DeniedFile(write(f"{_ONE}\n"))

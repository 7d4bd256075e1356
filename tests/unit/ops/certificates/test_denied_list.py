from pathlib import Path

import pytest
from tests.certificates import Authority

from bolide.core.errors import ConfigurationError
from bolide.core.fingerprints import fingerprint
from bolide.ops.certificates.denied_list import deny, read_denied, read_fingerprint

_ONE, _TWO = fingerprint(b"one"), fingerprint(b"two")


def test_a_certificate_is_put_on_the_list_once(tmp_path: Path) -> None:
    file = tmp_path / "denied.txt"
    assert read_denied(file) == frozenset()
    assert deny(file, _ONE, "node n1")
    assert deny(file, _TWO, "node n2")
    assert not deny(file, _ONE, "node n1")
    assert file.read_text() == f"{_ONE}  # node n1\n{_TWO}  # node n2\n"
    assert read_denied(file) == {_ONE, _TWO}


def test_what_people_wrote_into_a_list_stays(tmp_path: Path) -> None:
    file = tmp_path / "denied.txt"
    file.write_text(f"# lost\n{_ONE}")
    deny(file, _TWO, "node n2")
    assert file.read_text() == f"# lost\n{_ONE}\n{_TWO}  # node n2\n"


def test_a_list_with_a_slip_of_the_pen_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "denied.txt"
    file.write_text("0123\n")
    with pytest.raises(ConfigurationError, match="Line 1"):
        deny(file, _ONE, "node n1")
    assert file.read_text() == "0123\n"


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "denied.txt"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="a text that can be read"):
        read_denied(file)


def test_a_certificate_is_named_by_its_file_or_its_fingerprint(tmp_path: Path) -> None:
    file = Authority(tmp_path).issue().cert
    found = read_fingerprint(file)
    assert read_fingerprint(":".join(found[i : i + 2] for i in range(0, 64, 2)).upper()) == found


@pytest.mark.parametrize("written", ["", "nothing.pem", "abc"])
def test_what_is_neither_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigurationError, match="CERTIFICATE"):
        read_fingerprint(str(tmp_path / written))

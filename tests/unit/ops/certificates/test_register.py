from datetime import UTC, datetime
from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.certificates.register import Issued, Register


def _entry(name: str) -> Issued:
    return Issued(
        fingerprint="ab" * 32,
        identity=f"bolide://ward/node/{name}",
        addresses=("10.0.0.1",),
        begins=datetime(2026, 11, 27, tzinfo=UTC),
        ends=datetime(2026, 12, 27, tzinfo=UTC),
        authority="cd" * 32,
    )


def test_what_was_added_is_read_in_its_order(tmp_path: Path) -> None:
    register = Register(tmp_path / "issued.jsonl")
    assert register.read() == []
    for name in ("n1", "n2"):
        register.add(_entry(name))
    assert register.read() == [_entry("n1"), _entry("n2")]


def test_a_line_that_is_none_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "issued.jsonl"
    register = Register(file)
    register.add(_entry("n1"))
    file.write_bytes(file.read_bytes() + b'{"fingerprint": \n')
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="line 2"):
        register.read()
    with pytest.raises(ConfigurationError, match="line 2"):
        register.add(_entry("n2"))
    assert file.read_bytes() == before

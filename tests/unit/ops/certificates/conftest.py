from datetime import UTC, datetime
from pathlib import Path

import pytest

from bolide.core.identity import parse_identity
from bolide.ops.certificates import encrypted_key
from bolide.ops.certificates.authority import Authority
from bolide.ops.certificates.request import Request, make_request, read_request

PASSPHRASE = b"correct horse battery staple"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key be opened at once; one test counts the rounds."""
    monkeypatch.setattr(encrypted_key, "ROUNDS", 1_000)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "ward", PASSPHRASE, NOW)


class MakeRequest:
    """Makes keys and requests in a folder of its own for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def file(self, uri: str, *addresses: str) -> Path:
        self._made += 1
        folder = self._folder / f"request{self._made}"
        return make_request(parse_identity(uri), addresses, folder)[1]

    def __call__(self, uri: str, *addresses: str) -> Request:
        return read_request(self.file(uri, *addresses), parse_identity(uri).cluster)


@pytest.fixture
def make(tmp_path: Path) -> MakeRequest:
    return MakeRequest(tmp_path)

"""What an authority has signed: one JSON object a line."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from bolide.core.errors import ConfigurationError
from bolide.ops.certificates.own_files import PUBLIC, replace_file

__all__ = ["Issued", "Register"]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate.

    Attributes:
        fingerprint: SHA-256 of its DER bytes.
        identity: URI of its owner.
        addresses: Of a node.
        begins: UTC.
        ends: UTC.
        authority: Fingerprint of the authority's certificate at that time.
    """

    fingerprint: str
    identity: str
    addresses: tuple[str, ...]
    begins: datetime
    ends: datetime
    authority: str


_DECODER: Final = msgspec.json.Decoder(Issued)


class Register:
    """The file.

    Args:
        file: May not exist yet.
    """

    def __init__(self, file: Path) -> None:
        """Take the place; nothing is read yet."""
        self._file = file

    def read(self) -> list[Issued]:
        """Return what was signed, the first one first.

        Raises:
            ConfigurationError: If a line is none of ours; it names the line.
        """
        try:
            lines = self._file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        issued = list[Issued]()
        for number, line in enumerate(lines, 1):
            try:
                issued.append(_DECODER.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                expected = f"what `bolide ca sign` wrote: line {number} is something else"
                raise ConfigurationError("The register", str(self._file), expected) from None
        return issued

    def add(self, entry: Issued) -> None:
        """Write one more, and have it on the disk.

        Raises:
            ConfigurationError: If the file cannot be read.
        """
        self._write([*self.read(), entry])

    def _write(self, issued: Iterable[Issued]) -> None:
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in issued)
        replace_file(self._file, data, PUBLIC)

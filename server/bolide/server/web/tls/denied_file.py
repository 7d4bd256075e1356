"""The list of denied certificates, as it is on the disk now."""

import os
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from bolide.core.errors import ConfigurationError
from bolide.core.fingerprints import BadFingerprint, parse_denied

__all__ = ["MAX_FILE_BYTES", "DeniedFile"]

MAX_FILE_BYTES: Final = 4_194_304
"""Largest list that is read, bytes."""

_Stamp: TypeAlias = tuple[int, int, int]

_log = structlog.get_logger("bolide.web")


class DeniedFile:
    """A list that is read again when its file has changed; looking for that costs a system call.

    Args:
        file: Its path.

    Raises:
        ConfigurationError: If it cannot be read or a line is no fingerprint.
    """

    def __init__(self, file: str) -> None:
        """Read it for the first time."""
        self._file = file
        self._seen: _Stamp | None = None
        self._has_told = False
        self._denied: frozenset[str] = frozenset()
        try:
            self._read_if_changed()
        except _Unusable as error:
            expected = f"a list of fingerprints as `bolide ca deny` writes it. {error}"
            raise ConfigurationError("tls_denied", file, expected) from None

    def holds(self, fingerprint: str) -> bool:
        """Tell whether a certificate is denied.

        A list that cannot be used any more is told of in the log, and the one before holds on: it
        must not let in who was denied already.

        Args:
            fingerprint: SHA-256, hexadecimal, small letters.
        """
        try:
            self._read_if_changed()
        except _Unusable as error:
            if not self._has_told:
                self._has_told = True
                _log.error("the list of denied certificates cannot be used", problem=str(error))
        else:
            self._has_told = False
        return fingerprint in self._denied

    def _read_if_changed(self) -> None:
        """Read the file if it is another than before.

        Raises:
            _Unusable: If it cannot be used; what was read before stays.
        """
        try:
            found = os.stat(self._file)
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
            if stamp == self._seen:
                return
            if found.st_size > MAX_FILE_BYTES:
                raise _Unusable(f"It is larger than {MAX_FILE_BYTES} bytes")
            self._denied = parse_denied(Path(self._file).read_text(encoding="utf-8"))
            self._seen = stamp
        except OSError as error:
            raise _Unusable(error.strerror) from None
        except UnicodeDecodeError:
            raise _Unusable("It is no text in UTF-8") from None
        except BadFingerprint as error:
            raise _Unusable(str(error)) from None


class _Unusable(Exception):
    """The file is no list; the text says why."""

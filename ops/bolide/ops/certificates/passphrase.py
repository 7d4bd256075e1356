"""The passphrase of an authority's key: from whom it comes, and what it may be."""

import getpass
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bolide.core.errors import ConfigurationError

__all__ = ["MIN_LENGTH", "VARIABLE", "new_passphrase", "passphrase"]

MIN_LENGTH: Final = 15
"""Shortest passphrase of a new key, characters (NIST SP 800-63B-4: a secret that stands alone)."""
VARIABLE: Final = "BOLIDE_CA_PASSPHRASE"

_OTHERS: Final = stat.S_IRWXO
_WAYS: Final = f"typed on a terminal, or given by --passphrase-file or {VARIABLE}"

Ask = Callable[[str], str]


def passphrase(
    file: Path | None,
    environment: Mapping[str, str],
    *,
    is_terminal: bool,
    ask: Ask = getpass.getpass,
) -> bytes:
    """Return the passphrase of a key that there is already.

    Args:
        file: Holds it in its first line; None for none.
        environment: May hold it in :data:`VARIABLE`.
        is_terminal: Whether somebody can be asked.
        ask: Asks without showing what is typed.

    Raises:
        ConfigurationError: If there is none, or its file is open to others.
    """
    found = _given(file, environment)
    if found is None:
        if not is_terminal:
            raise ConfigurationError("The passphrase", None, _WAYS)
        found = ask("Passphrase of the authority's key: ")
    return found.encode()


def new_passphrase(
    file: Path | None,
    environment: Mapping[str, str],
    *,
    is_terminal: bool,
    ask: Ask = getpass.getpass,
) -> bytes:
    """Return the passphrase of a key that is to be made; whoever types it types it twice.

    Args:
        file: Holds it in its first line; None for none.
        environment: May hold it in :data:`VARIABLE`.
        is_terminal: Whether somebody can be asked.
        ask: Asks without showing what is typed.

    Raises:
        ConfigurationError: If there is none, it is too short, or was not typed twice the same.
    """
    found = _given(file, environment)
    if found is None:
        if not is_terminal:
            raise ConfigurationError("The passphrase", None, _WAYS)
        found = ask(f"New passphrase, {MIN_LENGTH} characters at least: ")
        _check(found)
        if ask("The same once more: ") != found:
            raise ConfigurationError("The passphrase", "(hidden)", "typed twice the same")
    _check(found)
    return found.encode()


def _check(found: str) -> None:
    if len(found) < MIN_LENGTH or len(set(found)) < 3:
        expected = f"{MIN_LENGTH} characters or more, such as five words drawn by lot"
        raise ConfigurationError("The passphrase", "(hidden)", expected)


def _given(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is None:
        return environment.get(VARIABLE)
    try:
        if stat.S_IMODE(file.stat().st_mode) & _OTHERS:
            raise ConfigurationError(
                "--passphrase-file", str(file), "closed to other users of this machine: chmod o-rwx"
            )
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        expected = f"a file that can be read ({error.strerror})"
        raise ConfigurationError("--passphrase-file", str(file), expected) from None
    except UnicodeDecodeError:
        raise ConfigurationError("--passphrase-file", str(file), "a text in UTF-8") from None
    return lines[0] if lines else ""

"""How a command fails: one line on standard error, and an exit status."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer

from bolide.core.errors import BolideError, ConfigurationError
from bolide.ops.terminal.printable import printable

__all__ = ["FAILED", "MISUSED", "fail", "told"]

FAILED: Final = 1
"""It was asked for rightly, and did not work."""
MISUSED: Final = 2
"""Something was written wrongly."""


def fail(text: str, status: int) -> NoReturn:
    """End the command.

    Args:
        text: What is wrong, and what helps.
        status: :data:`FAILED` or :data:`MISUSED`.
    """
    typer.echo(f"bolide: {printable(text)}", err=True)
    raise typer.Exit(status) from None


@contextmanager
def told(*misuses: type[Exception]) -> Generator[None]:
    """Turn what is expected to go wrong into one line and an exit status.

    Args:
        misuses: Errors that say that something was written wrongly, besides those of settings.
    """
    written_wrongly: tuple[type[Exception], ...] = (ConfigurationError, *misuses)
    try:
        yield
    except written_wrongly as error:
        fail(str(error), MISUSED)
    except (BolideError, OSError) as error:
        fail(str(error), FAILED)

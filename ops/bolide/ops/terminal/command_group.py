"""How subcommands tell of what was written wrongly."""

from typing import Any

import typer
from typer.core import TyperGroup

from bolide.ops.terminal.failing import MISUSED, fail

__all__ = ["Commands"]


class Commands(TyperGroup):
    """Subcommands whose flags tell of a wrong value in one line, without the usage."""

    # The context is of the part of click that typer keeps to itself.
    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter:  # one that is missing
                raise
            text = " ".join(error.format_message().split()).rstrip(".")
            fail(f"{text}.", MISUSED)

"""Options of a command that looks again and again."""

from typing import Annotated

import typer

__all__ = ["AsJson", "Interval", "Once"]

Interval = Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1, max=3600)]
Once = Annotated[bool, typer.Option("--once", help="Look once, and write plain lines.")]
AsJson = Annotated[bool, typer.Option("--json", help="Look once, and write JSON.")]

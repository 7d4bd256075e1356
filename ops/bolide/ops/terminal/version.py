"""Which version is installed."""

from importlib.metadata import version as installed_version

import typer

__all__ = ["version"]


def version() -> None:
    """Print the installed version."""
    typer.echo(installed_version("bolide"))

"""Report how a node would run here."""

import platform
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import Final, cast
from urllib.parse import urlsplit, urlunsplit

from bolide.ops.terminal.printable import printable
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.stores.sqlite.file import check_place
from bolide.server.stores.sqlite.inspection import FileReport, inspect_file
from bolide.server.stores.urls import open_store

__all__ = ["doctor_lines", "inspect_store", "shown_url"]

_LIBRARIES: Final = (
    "bolide", "httptools", "msgspec", "prometheus-client", "pydantic", "pymongo", "redis", "regex",
    "rich", "starlette", "structlog", "typer", "uvicorn", "uvloop", "watchfiles", "websockets",
)  # fmt: skip
_URLS: Final = frozenset({"redis", "store", "public_url"})


def doctor_lines(settings: Settings) -> Iterator[str]:
    """Yield settings, limits and versions, one per line; nothing secret is among them.

    Args:
        settings: With the places where they came from.
    """
    values = {name: getattr(settings, name) for name in settings.origins if hasattr(settings, name)}
    limits = {limit.name: getattr(settings.limits, limit.name) for limit in fields(Limits)}
    width = max(map(len, (*values, *limits, *_LIBRARIES))) + 2
    yield "Settings"
    yield from _rows(values, settings, width)
    yield ""
    yield "Limits"
    yield from _rows(limits, settings, width)
    yield ""
    yield "Versions"
    yield f"  {'Python':{width}}{platform.python_version()}"
    yield f"  {'SQLite':{width}}{sqlite3.sqlite_version}"
    for library in _LIBRARIES:
        yield f"  {library:{width}}{_version(library)}"


def _rows(values: dict[str, object], settings: Settings, width: int) -> Iterator[str]:
    for name, value in values.items():
        shown = shown_url(value) if name in _URLS and isinstance(value, str) else _shown(value)
        yield f"  {name:{width}}{printable(shown):<32}  {settings.origins.get(name, 'default')}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, cast("Sequence[object]", value))) or "-"
    return "-" if value is None else str(value)


def shown_url(url: str) -> str:
    """Write a URL without what may be a secret: user, password and query.

    Args:
        url: Any.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(hidden)"
    host = parts.netloc.rpartition("@")
    if not all(map(_is_host, host[2].split(","))):
        return "(hidden)"
    netloc = f"***@{host[2]}" if host[1] else parts.netloc
    # urlunsplit drops the empty host that tells sqlite:///relative from sqlite:/absolute.
    if not netloc and url.startswith(f"{parts.scheme}://"):
        return f"{parts.scheme}://{parts.path}{'?***' if parts.query else ''}"
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def _is_host(text: str) -> bool:
    """Tell whether a host has a port or none; what was meant as a password may stand there."""
    name, colon, port = text.rpartition(":")
    return not colon or text.endswith("]") or (port.isdigit() and len(port) <= 5 and bool(name))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def inspect_store(settings: Settings) -> FileReport | None:
    """Look at the file of the store; None if the store has no file.

    Args:
        settings: Whose store.

    Raises:
        ConfigurationError: If there can be no store.
    """
    store = open_store(settings.store)
    if not isinstance(store, SQLiteStore):
        return None
    check_place(store.path)
    return inspect_file(store.path)

"""Store URLs: what an operator writes as the setting ``store``."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from bolide.core.errors import ConfigurationError
from bolide.server.clock import Clock
from bolide.server.limits import MAX_FEED_LAG_S, STORE_MAX_BYTES
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.stores.sqlite.file import OPTION
from bolide.server.typed_urls import shown_as_typed

__all__ = ["open_store"]

_FORMS: Final = (
    "sqlite:///file.db, sqlite:////absolute/file.db,"
    " mongodb://host/database?replicaSet=rs0, or memory: (which keeps nothing)"
)


def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    store_max_bytes: int = STORE_MAX_BYTES,
    insecure: bool = False,
    max_feed_lag_s: float = MAX_FEED_LAG_S,
) -> Store:
    """Make the store that a URL names; its ``open`` comes next.

    Args:
        url: ``sqlite:///relative``, ``sqlite:////absolute`` (``%`` escapes as in any URL),
            ``mongodb://`` or ``mongodb+srv://`` as MongoDB specifies them, or ``memory:``.
        clock: The node's clock; None is the system's.
        store_max_bytes: Most bytes of BSON that an embedded store holds in memory.
        insecure: Let MongoDB on another machine be used without TLS or a password.
        max_feed_lag_s: How far MongoDB's feed may be behind, seconds.

    Raises:
        ConfigurationError: If it is none of these; a URL that may hold a password is not repeated.
    """
    scheme, separator, rest = url.partition(":")
    match scheme.lower() if separator else None:
        case "memory" if rest in ("", "//"):
            return MemoryStore(clock=clock, store_max_bytes=store_max_bytes)
        case "sqlite":
            return SQLiteStore(_path_of(url), clock=clock, store_max_bytes=store_max_bytes)
        case "mongodb" | "mongodb+srv":
            return MongoStore(url, clock=clock, insecure=insecure, max_feed_lag_s=max_feed_lag_s)
        case _:
            raise ConfigurationError(OPTION, shown_as_typed(url), _FORMS)


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise ConfigurationError(
            OPTION,
            shown_as_typed(url),
            "three slashes and a file, as in sqlite:///file.db, or four before an absolute path",
        )
    return Path(unquote(parts.path[1:]))

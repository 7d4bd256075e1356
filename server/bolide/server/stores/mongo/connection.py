"""Connecting to a replica set: what is wrong is said in one line, with what to do about it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime

# What the server and the driver tell.
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.errors import (
    ConnectionFailure,
    InvalidName,
    InvalidURI,
    OperationFailure,
)
from pymongo.uri_parser import parse_uri

from bolide.core.errors import ConfigurationError
from bolide.core.values import Document
from bolide.server.clock import Clock
from bolide.server.loopback import is_loopback

__all__ = [
    "DEFAULT_DATABASE",
    "MAX_CLOCK_DIFFERENCE_S",
    "connected",
    "database_name",
    "startup_refusals",
]

_log = structlog.get_logger("bolide.mongo")

DEFAULT_DATABASE: Final = "bolide"
"""Name of the database if the URL names none."""

MAX_CLOCK_DIFFERENCE_S: Final = 60.0
"""Most that the clocks of node and database may be apart, seconds."""

_OR: Final = " (or set BOLIDE_INSECURE_STORE=1 if nobody else can read what passes between them)"
_OPTION: Final = "store"
_HIDDEN: Final = "(hidden)"
_OLDEST: Final = 13
"""Wire version of MongoDB 5.0."""
_CONNECT_TIMEOUT_MS: Final = 10_000
_HEARTBEAT_MS: Final = 2_000
_AUTHENTICATION_FAILED: Final = 18
_UNAUTHORIZED: Final = 13


async def connected(
    url: str, clock: Clock, *, insecure: bool = False
) -> tuple[AsyncMongoClient[Document], str]:
    """Return a client that is connected, and the name of the database.

    Args:
        url: As MongoDB specifies it.
        clock: Is compared with the database's.
        insecure: Let another machine be used without TLS or a password.

    Raises:
        ConfigurationError: If the database cannot be used. The URL may hold a password and is not
            repeated.
    """
    try:
        parsed = parse_uri(url)
        if not insecure:
            _check_safety(parsed)
        name = parsed["database"] or DEFAULT_DATABASE
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            url,
            appname="bolide",
            serverSelectionTimeoutMS=_CONNECT_TIMEOUT_MS,
            tz_aware=True,
            connectTimeoutMS=_CONNECT_TIMEOUT_MS,
            heartbeatFrequencyMS=_HEARTBEAT_MS,
            retryWrites=True,
            w="majority",
        )
    except (InvalidURI, InvalidName, DriverConfigurationError, ValueError) as error:
        raise _refused(
            "a MongoDB URL such as mongodb://user:password@host1,host2/ward?replicaSet=rs0"
        ) from error
    try:
        with startup_refusals():
            _check_server(await client.admin.command("hello"), clock.wall_ms())
            await client[name].command("ping")
    except BaseException:
        await client.close()
        raise
    return client, name


def database_name(url: str, *, default: str = DEFAULT_DATABASE) -> str:
    """Return the name of the database in a URL, without asking anybody.

    Args:
        url: Of any store.
        default: What is returned if it names no database of MongoDB.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return default
    is_ours = parts.scheme in ("mongodb", "mongodb+srv")
    return (unquote(parts.path[1:]) if is_ours else "") or default


@contextmanager
def startup_refusals() -> Generator[None]:
    """Say what to do about a database that cannot be used.

    Raises:
        ConfigurationError: If it does not answer, or does not let us.
    """
    try:
        yield
    except (ConnectionFailure, TimeoutError) as error:
        raise _refused(
            "a MongoDB that answers: look at host, port, replicaSet=, and whether it wants TLS"
        ) from error
    except OperationFailure as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise _refused("a user and a password that MongoDB knows") from error
        if error.code == _UNAUTHORIZED:
            raise _refused(
                "a user that may open a change stream of the database:"
                " `bolide doctor --mongo-roles MODULE:APP` prints the commands"
            ) from error
        raise


def _check_safety(parsed: Mapping[str, Any]) -> None:
    if all(is_loopback(host) for host, _ in parsed["nodelist"]):
        return
    options = parsed["options"]
    if not options.get("tls"):
        raise _refused(f"one with tls=true, because the database is on another machine{_OR}")
    if not parsed["username"] and options.get("authMechanism") != "MONGODB-X509":
        raise _refused(
            f"one with a user and a password, because the database is on another machine{_OR}"
        )


def _check_server(hello: Mapping[str, Any], now_ms: int) -> None:
    theirs: datetime = hello["localTime"]
    apart_s = abs(theirs.timestamp() - now_ms / 1000)
    if apart_s > MAX_CLOCK_DIFFERENCE_S:
        raise _refused(
            f"a database whose clock is right: it is {apart_s:.0f} s apart from this machine's."
            " Let both follow a time server"
        )
    if hello.get("msg") == "isdbgrid":
        _log.warning("a sharded cluster is not tested: use a replica set")
        return
    if "setName" not in hello:
        raise _refused(
            "a replica set; this is a single mongod. Start it with --replSet rs0, and run once:"
            ' mongosh --eval "rs.initiate()"'
        )
    if hello["maxWireVersion"] < _OLDEST:
        raise _refused("MongoDB 5.0 or newer; this one is older")


def _refused(wanted: str) -> ConfigurationError:
    return ConfigurationError(_OPTION, _HIDDEN, wanted)

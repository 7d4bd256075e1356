"""Connecting to a replica set: what is wrong is said in one line, with what to do about it."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime

# What the server and the driver tell.
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from pymongo import AsyncMongoClient
from pymongo.asynchronous.uri_parser import parse_uri
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.errors import (
    ConnectionFailure,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from bolide.core.errors import ConfigurationError
from bolide.core.values import Document
from bolide.server.clock import Clock
from bolide.server.loopback import is_loopback
from bolide.server.stores.mongo.connecting.diagnosis import GENERAL, general, single, unreachable
from bolide.server.stores.mongo.connecting.members import remote_member

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
_WAIT_TOLD_S: Final = 2.0
"""When somebody who waits for the database is told so, seconds."""
_EXAMPLE: Final = "a MongoDB URL such as mongodb://user:password@host1,host2/ward?replicaSet=rs0"
_FILES: Final = (
    "one whose tlsCAFile and tlsCertificateKeyFile are readable PEM files, the latter with a"
    " certificate and its key"
)
_OPTION: Final = "store"
_HIDDEN: Final = "(hidden)"
_OLDEST: Final = 13
"""Wire version of MongoDB 5.0."""
_TOO_OLD: Final = "MongoDB 5.0 or newer; this one is older"
_SELECTION_TIMEOUT_MS: Final = 10_000
_CONNECT_TIMEOUT_MS: Final = 5_000
"""A write that a frozen primary has got is given up after this and a heartbeat, and repeated."""
_HEARTBEAT_MS: Final = 2_000
# Authentication failed; user not found, which is said of certificates.
_NOT_LET_IN: Final = frozenset({11, 18})
_UNAUTHORIZED: Final = 13
# With these TLS hides what is said, but not from whoever stands between.
_UNVERIFIED: Final = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")


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
    parsed = await _parsed(url)
    if parsed.get("collection"):  # what follows a dot is no part of a database's name
        raise _refused(f"{_EXAMPLE}; a dot cannot be in the name of the database")
    if not insecure:
        _check_safety(parsed)
    name = parsed["database"] or DEFAULT_DATABASE
    client = _client(url)
    try:
        try:
            with startup_refusals(), _waiting_told(parsed):
                hello = await client.admin.command("hello")
                _check_server(hello, clock.wall_ms(), parsed["nodelist"][0])
                if not insecure:
                    await _check_members(hello, parsed)
                await client[name].command("ping")
        except _UnreachableError as error:
            raise await _diagnosed(url, client, parsed) from error
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
    except ServerSelectionTimeoutError as error:
        raise _UnreachableError(_OPTION, _HIDDEN, GENERAL) from error
    except (ConnectionFailure, TimeoutError) as error:
        raise _refused(GENERAL) from error
    except DriverConfigurationError as error:
        # All else that the driver does not like, it finds in the URL.
        raise _refused(_TOO_OLD) from error
    except OperationFailure as error:
        if error.code in _NOT_LET_IN:
            raise _refused(
                "a user and a password that MongoDB knows; authSource= names the database where"
                " the user was made, and of a certificate the user is its subject"
            ) from error
        if error.code == _UNAUTHORIZED:
            raise _refused(
                "a user that may open a change stream of the database:"
                " `bolide doctor --mongo-roles MODULE:APP` prints the commands"
            ) from error
        raise


@contextmanager
def _waiting_told(parsed: Mapping[str, Any]) -> Generator[None]:
    """Tell in the log that the database does not answer yet, once that is noticed."""
    at = general(parsed["nodelist"])
    timer = asyncio.get_running_loop().call_later(
        _WAIT_TOLD_S, lambda: _log.warning("waiting for the database", wanted=at)
    )
    try:
        yield
    finally:
        timer.cancel()


class _UnreachableError(ConfigurationError):
    """No server was found that can be written to."""


async def _parsed(url: str) -> Mapping[str, Any]:
    try:
        return await parse_uri(url)
    except OSError as error:
        raise _refused(_FILES) from error
    except DriverConfigurationError as error:
        if not url.lower().startswith("mongodb+srv:") or isinstance(error, InvalidURI):
            raise _refused(_EXAMPLE + _escaping(url)) from error
        raise _refused(
            "a host whose DNS has SRV records of MongoDB; or list the members:"
            " mongodb://host1,host2/ward?replicaSet=rs0"
        ) from error
    except (InvalidName, ValueError) as error:
        raise _refused(_EXAMPLE + _escaping(url)) from error


def _escaping(url: str) -> str:
    """Return a hint for a password with characters that mean something else in a URL."""
    before, _, after = url.rpartition("@")
    authority = before.partition("://")[2]
    if not after or (authority.count(":") <= 1 and not set("@/?#[]% ") & set(authority)):
        return ""
    return "; in user and password write @ as %40, : as %3A, / as %2F, ? as %3F and % as %25"


def _client(url: str) -> AsyncMongoClient[Document]:
    try:
        return AsyncMongoClient(
            url,
            appname="bolide",
            serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
            tz_aware=True,
            connectTimeoutMS=_CONNECT_TIMEOUT_MS,
            heartbeatFrequencyMS=_HEARTBEAT_MS,
            retryWrites=True,
            w="majority",
        )
    except (OSError, DriverConfigurationError) as error:
        # The driver turns some of OpenSSL's errors into its own.
        if isinstance(error, OSError) or str(error).startswith("Private key"):
            raise _refused(_FILES) from error
        raise _refused(_EXAMPLE) from error
    except (InvalidName, ValueError) as error:
        raise _refused(_EXAMPLE) from error


async def _diagnosed(
    url: str, client: AsyncMongoClient[Document], parsed: Mapping[str, Any]
) -> ConfigurationError:
    servers = client.topology_description.server_descriptions()
    if not servers:
        return _refused(await _without_set_name(url, parsed))
    named = frozenset(host for host, _ in parsed["nodelist"])
    has_tls = bool(parsed["options"].get("tls"))
    return _refused(await unreachable(servers.values(), named=named, has_tls=has_tls))


async def _without_set_name(url: str, parsed: Mapping[str, Any]) -> str:
    """Say what is at an address where no replica set of the name in the URL is."""
    before, mark, options = url.partition("?")
    kept = [one for one in options.split("&") if not one.lower().startswith("replicaset=")]
    anybody = _client(before + mark * bool(kept) + "&".join(kept))
    try:
        found = (await anybody.admin.command("hello")).get("setName")
    except PyMongoError:
        return GENERAL
    finally:
        await anybody.close()
    if found is not None:
        return f"one with replicaSet={found}, which is its name"
    return single(parsed["nodelist"][0])


def _check_safety(parsed: Mapping[str, Any]) -> None:
    # A path is that of a socket on this machine.
    if not all(is_loopback(host) or host.startswith("/") for host, _ in parsed["nodelist"]):
        _check_safe_elsewhere(parsed, "the database is on another machine")


async def _check_members(hello: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
    """Look at those whom the driver finds through those that the URL names."""
    if parsed["options"].get("directConnection"):
        return  # it looks for nobody
    member = await remote_member(hello)
    if member is not None:
        _check_safe_elsewhere(
            parsed, f"the replica set calls a member {member}, which is on another machine"
        )


def _check_safe_elsewhere(parsed: Mapping[str, Any], why: str) -> None:
    options = parsed["options"]
    if not options.get("tls"):
        raise _refused(f"one with tls=true, because {why}{_OR}")
    unverified = [name for name in _UNVERIFIED if options.get(name)]
    if unverified:
        raise _refused(
            f"one without {unverified[0]}, because {why} and anybody"
            f" could pose as it; tlsCAFile= names who is trusted{_OR}"
        )
    if not parsed["username"] and options.get("authMechanism") != "MONGODB-X509":
        raise _refused(f"one with a user and a password, because {why}{_OR}")


def _check_server(hello: Mapping[str, Any], now_ms: int, address: tuple[str, int | None]) -> None:
    theirs: datetime = hello["localTime"]
    apart_s = abs(theirs.timestamp() - now_ms / 1000)
    if apart_s > MAX_CLOCK_DIFFERENCE_S:
        raise _refused(
            f"a database whose clock is right: it is {apart_s:.0f} s apart from this machine's."
            " Let both follow a time server"
        )
    if hello["maxWireVersion"] < _OLDEST:
        raise _refused(_TOO_OLD)
    if hello.get("msg") == "isdbgrid":
        _log.warning("a sharded cluster is not tested: use a replica set")
        return
    if "setName" not in hello:
        raise _refused(single(address))
    if not hello["isWritablePrimary"]:
        raise _refused("one without directConnection=true: this member is not the primary")
    if hello.get("arbiters"):
        _log.warning(
            "the replica set has an arbiter, which keeps no data: while another member is away,"
            " writes may wait for a majority; put a member in its place",
            arbiters=len(hello["arbiters"]),
        )


def _refused(wanted: str) -> ConfigurationError:
    return ConfigurationError(_OPTION, _HIDDEN, wanted)

"""Why no server can be used, in words with a remedy: what an operator has to know of a topology.

The driver tells what happened at a server as a text, which is the only place where the words of
TLS are left; the texts are never repeated.
"""

import asyncio
import socket
from collections.abc import Collection, Iterable
from typing import Final

from pymongo.server_description import ServerDescription
from pymongo.server_type import SERVER_TYPE

__all__ = ["GENERAL", "general", "no_primary", "single", "unreachable"]

_LOOK: Final = (
    "is mongod running? Look at host, port (BOLIDE_STORE), and whether a firewall is between"
)
GENERAL: Final = f"a MongoDB that answers: {_LOOK}"

_UNKNOWN_HOST: Final = "hosts whose names this machine can look up"
_NO_TLS: Final = (
    "one without tls=true, because this MongoDB speaks no TLS; better, start it with"
    " --tlsMode requireTLS"
)
_WANTS_TLS: Final = (
    "one with tls=true, if MongoDB wants TLS: it closes a connection in plain text at once"
)
_WANTS_CERTIFICATE: Final = (
    "one with tlsCertificateKeyFile=FILE.pem, if MongoDB asks its clients for a certificate:"
    " it closes the connection at once"
)
_CLOSED: Final = ("connection closed", "already closed", "Connection reset")
# What Python's and OpenSSL's texts hold; the first that is found decides.
_OF_CERTIFICATES: Final = (
    ("certificate has expired", "a MongoDB whose certificate is valid: it has expired, renew it"),
    (
        "not yet valid",
        "a MongoDB whose certificate is valid: it is not valid yet; let both machines follow a"
        " time server",
    ),
    (
        "mismatch, certificate is not valid for",
        "hosts by the names in MongoDB's certificate, which has none of those in the URL",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "one with tlsCAFile=FILE.pem, the authority of MongoDB's certificate: this machine does"
        " not know it",
    ),
)


def general(addresses: Iterable[tuple[str, int | None]]) -> str:
    """Return what is wanted where nobody answers.

    Args:
        addresses: Hosts and ports that were tried.
    """
    return f"a MongoDB that answers at {', '.join(map(_written, addresses))}: {_LOOK}"


def _written(address: tuple[str, int | None]) -> str:
    host, port = address
    if host.startswith("/"):  # a socket
        return host
    return f"{f'[{host}]' if ':' in host else host}:{port or 27017}"


def single(address: tuple[str, int | None]) -> str:
    """Return what is wanted instead of a mongod that is no replica set.

    Args:
        address: Its host and port.
    """
    return (
        "a replica set; this is a single mongod. Start it with --replSet rs0, and run once:"
        f" {_beginning(address)}"
    )


def _beginning(address: tuple[str, int | None]) -> str:
    """Return the command that begins a replica set; without the port it could meet another one."""
    return f'mongosh {_written(address)} --eval "rs.initiate()"'


async def unreachable(
    servers: Iterable[ServerDescription], *, named: Collection[str], has_tls: bool
) -> str:
    """Return what is wanted instead of servers none of which can be written to.

    Args:
        servers: As the driver found them.
        named: Hosts in the URL; others come from the replica set's own configuration.
        has_tls: The URL asks for it.
    """
    described = list(servers)
    kinds = [server.server_type for server in described]
    for server in described:
        if server.server_type == SERVER_TYPE.RSGhost:
            return (
                "a replica set that was begun: mongod runs with --replSet, so run once:"
                f" {_beginning(server.address)}"
            )
    answering = sum(kind != SERVER_TYPE.Unknown for kind in kinds)
    if answering:
        return no_primary(answering, len(described))
    told = "\n".join(str(server.error) for server in described)
    for mark, wanted in _OF_CERTIFICATES:
        if mark in told:
            return wanted
    if "alert" in told:  # the server's own word for it
        return _WANTS_CERTIFICATE
    if "SSL handshake failed" in told:
        return _NO_TLS
    if any(mark in told for mark in _CLOSED):
        return _WANTS_CERTIFICATE if has_tls else _WANTS_TLS
    hosts = [server.address[0] for server in described]
    if any(await asyncio.gather(*map(_is_known, hosts))):
        return general(server.address for server in described)
    configured = [host for host in hosts if host not in named]
    if not configured:
        return _UNKNOWN_HOST
    return (
        f"a replica set whose members this machine can look up: it calls them"
        f" {', '.join(configured)}. rs.reconfig() in mongosh changes that"
    )


def no_primary(answering: int, members: int) -> str:
    """Return what is wanted of a replica set without a primary.

    Args:
        answering: Members that answer.
        members: All that are known.
    """
    return (
        f"a replica set with a primary: {answering} of {members} members answer, and none is"
        " primary. A majority must run and reach each other: look at rs.status() in mongosh"
    )


async def _is_known(host: str) -> bool:
    if host.startswith("/"):  # a socket of this machine
        return True
    try:
        await asyncio.get_running_loop().getaddrinfo(host, None)
    except socket.gaierror:
        return False
    return True

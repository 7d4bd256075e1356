"""Say in one sentence why there is no connection."""

import errno
import os
import socket
import ssl
from dataclasses import dataclass
from typing import ClassVar

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    ProxyError,
)

from bolide.client.connection.address import Address
from bolide.core.errors import BolideError

__all__ = ["ConnectionFailed", "Failure", "explain", "size_fault"]

# How the reasons of a node begin that closes a session to be rid of it.
_DRAINS = ("The server takes no more sessions", "This node takes no sessions now")

# Codes of RFC 6455, section 7.4.1, and of the IANA registry.
_CLOSE_CODES = {
    1000: "it ended the connection",
    1001: "it is going away",
    1002: "it saw a protocol error",
    1003: "it does not accept this kind of data",
    1007: "it received text that is not UTF-8",
    1008: "it refuses us by its policy",
    1011: "it had an internal error",
    1012: "it is shutting down or restarts",
    1013: "it is overloaded",
}


class ConnectionFailed(BolideError):
    """There is no connection; the text says why."""

    code: ClassVar[str] = "connection-failed"

    def __init__(self, reason: str) -> None:
        """Keep the reason.

        Args:
            reason: One sentence for a person, without secrets.
        """
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Say the reason."""
        return self.reason


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one attempt failed or one connection was lost.

    Attributes:
        reason: One sentence that names the address and the next step.
        is_lasting: Trying again will not help before somebody mends something.
        is_final: Nor will waiting: the two sides speak different protocols.
    """

    reason: str
    is_lasting: bool = False
    is_final: bool = False


def size_fault(error: ConnectionClosed, *, max_frame_bytes: int) -> str | None:
    """Say which side sent more than the other takes; None if the connection ended otherwise.

    Args:
        error: How it ended.
        max_frame_bytes: What we take.
    """
    first = error.rcvd if error.sent is None or error.rcvd_then_sent else error.sent
    if first is None or first.code != 1009:
        return None
    if first is error.sent:
        limit = f"limits.max_frame_bytes ({max_frame_bytes})"
        return f"The server sent a frame that is larger than {limit}."
    return "The server closed the connection: a message was too large for it."


def explain(
    error: BaseException,
    address: Address,
    *,
    timeout_s: float,
    has_authorities: bool = False,
    has_headers: bool = False,
) -> Failure:
    """Turn what a socket raised into a sentence.

    Texts of errors are not repeated, because they may hold URLs and headers.

    Args:
        error: What was raised.
        address: Where the attempt went.
        timeout_s: Time the attempt had, seconds.
        has_authorities: The caller said whose certificates to trust, with ``ssl=``.
        has_headers: The caller gave headers.
    """
    where = address.label
    match error:
        case ConnectionClosed():
            return Failure(_lost(error, where))
        case ssl.SSLCertVerificationError():
            return Failure(
                f"The certificate of {where} is not trusted ({error.verify_message}); "
                f"{'check the authorities of ssl=' if has_authorities else _trust()}.",
                is_lasting=True,
            )
        case ssl.SSLError():
            return Failure(f"TLS with {where} failed; is it really an https port?", is_lasting=True)
        case InvalidStatus():
            return _refused(error.response.status_code, address, has_headers=has_headers)
        case ProxyError():
            return Failure(f"The proxy did not connect to {where}; check the proxy settings.")
        case InvalidMessage():
            return Failure(f"{where} does not speak HTTP; is the port right, and ws or wss?")
        case InvalidHandshake():
            return Failure(f"{where} is no WebSocket server; check the address.", is_lasting=True)
        case TimeoutError() if error.errno is None:
            return Failure(
                f"{where} did not answer within {timeout_s:g} s; check the address and the network."
            )
        case socket.gaierror():
            return Failure(f"The name {address.host} was not found; check it and the network.")
        case OSError() if error.errno == errno.ECONNREFUSED:
            return Failure(f"Nothing listens at {where}; check that the server runs.")
        case _:
            return Failure(f"{where} cannot be reached ({type(error).__name__}).")


def _trust() -> str:
    """Say how the authorities of this machine get another one."""
    name = ssl.get_default_verify_paths().openssl_cafile_env
    file = os.environ.get(name)
    if not file:
        return f"mend it there, or name a PEM file with its authority in {name}"
    try:
        # OpenSSL passes over a file that it cannot use.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except FileNotFoundError:
        return f"{name} names {file}, which does not exist"
    except ssl.SSLError:
        return f"{name} names {file}, which holds no certificate as PEM text"
    except OSError as error:
        return f"{name} names {file}, which cannot be read ({error.strerror})"
    return f"mend it there, or name a PEM file with its authority in {name}, which is {file} now"


def _refused(status: int, address: Address, *, has_headers: bool) -> Failure:
    where = address.label
    if status == 404:
        return Failure(
            f"{where} has no DDP endpoint at this path (404); it is usually /websocket,"
            " and the address without any path then.",
            is_lasting=True,
        )
    if status in (401, 403):
        return Failure(
            f"{where} refused the connection ({status}); "
            + ("" if address.is_encrypted else "does it want https? Otherwise ")
            + (
                "check headers= and the server's origins."
                if has_headers
                else "is it the node's own port and not its management port, does its public_url"
                " name this address, and does nothing before it want a login?"
            ),
            is_lasting=True,
        )
    if 300 <= status < 400:
        return Failure(
            f"{where} redirects elsewhere ({status}), which is not followed; use that address.",
            is_lasting=True,
        )
    if status >= 500 or status == 429:
        return Failure(f"{where} is not available now ({status}).")
    return Failure(f"{where} refused the connection ({status}).", is_lasting=True)


def _lost(error: ConnectionClosed, where: str) -> str:
    sent = error.sent.code if error.sent is not None and not error.rcvd_then_sent else None
    if sent in (1002, 1007):
        return f"{where} broke the WebSocket protocol."
    if error.rcvd is not None:
        if error.rcvd.reason.startswith(_DRAINS):
            return f"{where} closed the connection: it takes no more sessions and is shutting down."
        why = _CLOSE_CODES.get(error.rcvd.code, f"code {error.rcvd.code}")
        return f"{where} closed the connection: {why}."
    return f"The connection to {where} was lost."

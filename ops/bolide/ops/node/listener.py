"""Open the sockets that a node listens on."""

import errno
import socket

from bolide.core.errors import ConfigurationError

__all__ = ["PortInUse", "bind", "bind_first_free", "url_of"]

_BACKLOG = 2048
_HIGHEST_PORT = 65_535


class PortInUse(ConfigurationError):
    """Another process listens there."""


def bind(host: str, port: int, *, option: str = "port") -> socket.socket:
    """Open a listening socket.

    Args:
        host: Address or name.
        port: Number; 0 takes a free one.
        option: Setting that the operator would change, should it fail.

    Raises:
        ConfigurationError: If the address is in use, not of this machine or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise ConfigurationError("host", host, "an address or a name of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(error, host, port, option) from None
    return listener


def _refusal(error: OSError, host: str, port: int, option: str) -> ConfigurationError:
    match error.errno:
        case errno.EADDRINUSE:
            return PortInUse(
                option, port, "a free port: another process listens there; stop it or take another"
            )
        case errno.EACCES:
            return ConfigurationError(option, port, "above 1023: this user may not open it")
        case _:
            return ConfigurationError(
                "host", host, f"an address of this machine ({error.strerror})"
            )


def bind_first_free(host: str, port: int, *, tries: int = 100) -> socket.socket:
    """Open the first free one of consecutive ports.

    Args:
        host: Address or name.
        port: The first to try; 0 takes any.
        tries: How many.

    Raises:
        ConfigurationError: If all of them are in use, or the address is wrong.
    """
    for candidate in range(port, min(port + tries, _HIGHEST_PORT + 1)):
        try:
            return bind(host, candidate)
        except PortInUse:
            continue
    raise ConfigurationError("port", port, f"followed by a free one within {tries} ports")


def url_of(listener: socket.socket, host: str | None = None, *, secure: bool = False) -> str:
    """Say where a listening socket is to be found, as ``http://127.0.0.1:3000/``.

    Args:
        listener: The socket.
        host: The host as the operator wrote it; the socket's own address if None.
        secure: Whether it speaks TLS.
    """
    address: tuple[str, int] = listener.getsockname()
    shown = host or address[0]
    scheme = "https" if secure else "http"
    return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{address[1]}/"

"""Ask the management listener of a node."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

import httptools

from bolide.core.errors import BolideError, ConfigurationError
from bolide.ops.top.operator_context import is_node
from bolide.server.settings import Settings
from bolide.server.typed_urls import shown_as_typed

__all__ = ["MAX_ANSWER_BYTES", "Management", "ManagementFailed", "NoManagement"]

MAX_ANSWER_BYTES: Final = 16_777_216
"""Most that is read of an answer, bytes."""

_TIMEOUT_S: Final = 5.0
"""How long an answer may take, seconds: a node that is stopped accepts, and says nothing."""

_EXPECTED: Final = "an address such as http://127.0.0.1:9300"


class ManagementFailed(BolideError):
    """The management listener does not answer as one does."""

    code: ClassVar[str] = "management-failed"

    def __init__(self, url: str, what: str) -> None:
        """Keep what happened.

        Args:
            url: Where.
            what: The end of the sentence that begins with the address.
        """
        super().__init__(url, what)
        self.url = url
        self.what = what

    def __str__(self) -> str:
        """Say what happened."""
        return f"{self.url} {self.what}"


class NoManagement(BolideError):
    """Nobody said where the management listener is."""

    code: ClassVar[str] = "no-management"

    def __init__(self, *, is_of_cluster: bool = False) -> None:
        """Keep what kind of node it is.

        Args:
            is_of_cluster: Whether it answers certificates only.
        """
        super().__init__()
        self.is_of_cluster = is_of_cluster

    def __str__(self) -> str:
        """Say how there is one."""
        if self.is_of_cluster:
            return "Give https://HOST:PORT, with an operator's --ca, --cert and --key."
        return (
            "Start the node with --management-port PORT, and give http://127.0.0.1:PORT"
            " or set BOLIDE_MANAGEMENT_PORT here."
        )


@dataclass(frozen=True, slots=True)
class Management:
    """Where the management listener of a node is.

    Attributes:
        host: Address or name.
        port: Number.
        context: For TLS; None where it is on loopback without.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = field(default=None, compare=False)

    @classmethod
    def at(cls, url: str, make_context: Callable[[], ssl.SSLContext] | None = None) -> Self:
        """Read its URL.

        Args:
            url: Of plain HTTP, where the listener is on loopback, or of HTTPS.
            make_context: For HTTPS; called for such a URL only.

        Raises:
            ConfigurationError: If it is none.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ConfigurationError("URL", shown_as_typed(url), _EXPECTED) from None
        is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        schemes = ("http",) if make_context is None else ("http", "https")
        if parts.scheme not in schemes or not host or port is None or not is_bare:
            raise ConfigurationError("URL", shown_as_typed(url), _EXPECTED)
        if make_context is None or parts.scheme == "http":
            return cls(host, port)
        return cls(host, port, make_context())

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the one of a node with these settings.

        Raises:
            NoManagement: If they do not say where it is.
        """
        if settings.tls_client_ca:  # its own certificate is no operator's
            raise NoManagement(is_of_cluster=True)
        if not settings.management_port:  # 0 is any port, so nobody knows which
            raise NoManagement
        return cls(settings.management_host, settings.management_port)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'http' if self.context is None else 'https'}://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def get(self, path: str) -> bytes:
        """Return the body of an answer.

        Args:
            path: What to ask for, query included.

        Raises:
            ManagementFailed: If there is no answer, or another one than 200.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, body = await self._ask(path)
        except TimeoutError:
            text = f"does not answer within {_TIMEOUT_S:g} s: the node is stopped or overloaded."
            raise ManagementFailed(self.url, text) from None
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            raise self._is_shut(error) from None
        except OSError:
            text = f"cannot be reached: start the node with --management-port {self.port}."
            raise ManagementFailed(self.url, text) from None
        except _NoNode:
            text = "is not a node: somebody else answers there."
            raise ManagementFailed(self.url, text) from None
        except (httptools.HttpParserError, _NotWhole):
            raise self._is_another(None) from None
        if status == 503:
            raise ManagementFailed(self.url, "answers, but its node does not run now.")
        if status != 200:
            raise self._is_another(status)
        return body

    def _is_shut(self, error: OSError) -> ManagementFailed:
        """Tell of a connection that the other side ended before it answered."""
        if self.context is None:
            return ManagementFailed(
                self.url,
                "ended the connection: if the node has tls_client_ca, give https:// with an"
                " operator's --ca, --cert and --key.",
            )
        why = getattr(error, "reason", None) or "it ended"
        return ManagementFailed(
            self.url,
            f"shook no hands ({why}): are --ca, --cert and --key those of an operator of its"
            " cluster?",
        )

    def _is_another(self, status: int | None) -> ManagementFailed:
        answered = "" if status is None else f" (it answered {status})"
        return ManagementFailed(
            self.url,
            f"is not the management listener of a node{answered}: give the port that the node was"
            " given with --management-port.",
        )

    async def _ask(self, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.context)
        try:
            if self.context is not None and not is_node(writer.get_extra_info("ssl_object")):
                raise _NoNode
            request = f"GET {path} HTTP/1.1\r\nHost: {self._authority}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode("ascii"))
            answer = _Answer()
            while not answer.is_complete:
                data = await reader.read(65_536)
                if not data:
                    raise _NotWhole
                answer.receive(data)
            return answer.status, answer.body
        finally:
            writer.close()


class _NoNode(Exception):
    """The certificate is of another role."""


class _NotWhole(Exception):
    """The answer ended early, or does not end."""


class _Answer:
    """One HTTP answer, as httptools tells of it."""

    def __init__(self) -> None:
        self.is_complete = False
        self.status = 0
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def receive(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if len(self._body) > MAX_ANSWER_BYTES:
            raise _NotWhole

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.is_complete = True

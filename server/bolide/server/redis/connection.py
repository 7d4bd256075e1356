"""One connection to Redis: commands with a time limit, answers of a bounded size.

The only module that knows the driver. It takes the driver's connections and none of its clients:
those connect anew behind one's back, and whoever listens must know that something was missed.
"""

import asyncio
import math
import ssl
from contextlib import suppress
from functools import partial

# The driver's types are unions that no caller can tell apart; answers are bytes, numbers, None
# and lists of them.
from typing import Any, Final, TypeAlias

import redis.asyncio as driver
from redis import exceptions
from redis._parsers import _AsyncRESP2Parser  # pyright: ignore[reportPrivateUsage]

from bolide.core.errors import ConfigurationError
from bolide.server.redis.address import OPTION, RedisAddress, refused
from bolide.server.redis.errors import CommandRefused, RedisAway, RedisFull, ReplyTooLarge
from bolide.server.typed_urls import HIDDEN

__all__ = ["COMMAND_TIMEOUT_S", "MAX_REPLY_BYTES", "Argument", "PasswordRefused", "RedisConnection"]

COMMAND_TIMEOUT_S: Final = 2.0
"""How long a connection or an answer may take, seconds."""

MAX_REPLY_BYTES: Final = 1_048_576
"""Most that is read as one answer, bytes."""

_ELEMENT_BYTES: Final = 64
"""What a part of an answer takes at least, whatever is in it."""

_STRANGER: Final = ": what listens there does not speak Redis, or wants TLS (rediss://)"

Argument: TypeAlias = bytes | str | int


class PasswordRefused(ConfigurationError):
    """It is the password, or that there is none."""


class RedisConnection:
    """An open connection; for one user at a time.

    Args:
        connection: The driver's, connected.
    """

    __slots__ = ("_connection", "_has_answered")

    def __init__(self, connection: Any) -> None:
        """Take over the driver's connection."""
        self._connection = connection
        self._has_answered = False

    @classmethod
    async def open(
        cls,
        address: RedisAddress,
        host: tuple[str, int] | None,
        *,
        is_sentinel: bool = False,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        is_known: bool = False,
    ) -> "RedisConnection":
        """Connect, and tell the server who asks.

        Args:
            address: Who asks, and how.
            host: The server's name and port; None is the address's Unix socket.
            is_sentinel: The server is a Sentinel: it has passwords of its own, and no databases.
            max_reply_bytes: Most that is read as one answer.
            is_known: It was a Redis before.

        Raises:
            ConfigurationError: If it will never be possible; the text says what to do.
            RedisAway: If it is not possible now.
        """
        if host is not None:
            address.check_host(host[0])
        options: dict[str, Any] = {
            "username": address.sentinel_user if is_sentinel else address.user,
            "password": address.sentinel_password if is_sentinel else address.password,
            "db": 0 if is_sentinel else address.database,
            "driver_info": None,
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": COMMAND_TIMEOUT_S,
            **(address.tls_files if address.uses_tls else {}),
            "parser_class": partial(_BoundedParser, max_bytes=max_reply_bytes),
        }
        opened: Any
        if host is None:
            opened = driver.UnixDomainSocketConnection(path=address.socket or "", **options)
        elif address.uses_tls:
            opened = driver.SSLConnection(host=host[0], port=host[1], **options)
        else:
            opened = driver.Connection(host=host[0], port=host[1], **options)
        connection = cls(opened)
        connection._has_answered = is_known
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await opened.connect()
        except BaseException as error:
            await connection.close()
            if isinstance(error, Exception):
                # The driver connected if it is not that which failed.
                is_there = not is_known and "connecting to" not in str(error)
                raise _told(error, is_stranger=is_there) from error
            raise
        return connection

    async def command(self, *arguments: Argument, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """Send one command; return the answer as it came, texts as bytes.

        Raises:
            RedisAway: If there is none in time, or Redis says no.
        """
        (answer,) = await self.commands(arguments, timeout_s=timeout_s)
        return answer

    async def commands(
        self, *commands: tuple[Argument, ...], timeout_s: float = COMMAND_TIMEOUT_S
    ) -> list[Any]:
        """Send commands in one go; return their answers.

        Raises:
            RedisAway: If they do not come in time, or Redis says no to one; all were sent.
        """
        connection = self._connection
        if not connection.is_connected:
            raise RedisAway("closed the connection")  # the driver would open another one
        answers: list[Any] = []
        refusal: Exception | None = None
        try:
            async with asyncio.timeout(timeout_s):
                packed = connection.pack_commands(commands)
                await connection.send_packed_command(packed, check_health=False)
                for _ in commands:
                    try:
                        answers.append(await connection.read_response(timeout=math.inf))
                    except exceptions.ResponseError as error:
                        refusal = error
        except Exception as error:
            await self.close()
            raise _told(error, is_stranger=not self._has_answered) from error
        self._has_answered = True
        if refusal is not None:
            raise _told(refusal) from refusal
        return answers

    async def next_message(self) -> Any:
        """Return the next thing that Redis sends by itself, however long that takes.

        Raises:
            RedisAway: If the connection ends.
        """
        try:
            return await self._connection.read_response(timeout=math.inf)
        except Exception as error:
            raise _told(error) from error

    async def close(self) -> None:
        """End it; harmless a second time."""
        with suppress(exceptions.RedisError, OSError):
            await self._connection.disconnect(nowait=True)


class _BoundedParser(_AsyncRESP2Parser):
    """The driver's parser, which stops reading an answer that is too large.

    Anybody who may write to a stream, or publish, could otherwise fill the memory of every node.
    """

    def __init__(self, socket_read_size: int, max_bytes: int) -> None:
        super().__init__(socket_read_size)
        self._max_bytes = max_bytes
        self._room = max_bytes

    async def read_response(self, disable_decoding: bool = False) -> Any:
        self._room = self._max_bytes
        return await super().read_response(disable_decoding)

    async def _read(self, length: int) -> bytes:
        self._take(length)
        return await super()._read(length)

    async def _readline(self) -> bytes:
        self._take(_ELEMENT_BYTES)
        return await super()._readline()

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise ReplyTooLarge


def _told(error: Exception, *, is_stranger: bool = False) -> ConfigurationError | RedisAway:
    """Return what to raise instead of an error of the driver, whose text may quote anything.

    Args:
        error: What was raised.
        is_stranger: Something listens at the address, and has said nothing yet.
    """
    match error:
        case ConfigurationError() | RedisAway():
            return error
        case exceptions.AuthenticationError():
            return _told_of_password(error)
        case exceptions.NoPermissionError():
            return refused(
                "one with a user who may run the commands that docs/topics/redis.md lists"
            )
        case exceptions.InvalidResponse():
            return refused("that of a Redis: what answers there does not speak Redis")
        case exceptions.OutOfMemoryError():
            return RedisFull()
        case exceptions.ReadOnlyError():
            return RedisAway("is a read-only replica")
        case exceptions.BusyLoadingError():
            return RedisAway("is still loading its data")
        case exceptions.ResponseError():
            return CommandRefused(_word(error))
        case TimeoutError() | exceptions.TimeoutError():
            return RedisAway("does not answer")
        case _:
            lost = "closes the connection" + _STRANGER if is_stranger else "has no connection"
            return _told_of_tls(error) or RedisAway(lost)


def _told_of_password(error: exceptions.AuthenticationError) -> PasswordRefused:
    match error.status_code:
        case "NOAUTH":
            expected = "one with a password: Redis asks for it"
        case "ERR":
            expected = "one without a password: Redis has none for this user"
        case _:
            expected = "one with a user and a password that Redis knows"
    return PasswordRefused(OPTION, HIDDEN, expected)


def _told_of_tls(error: BaseException | None) -> ConfigurationError | None:
    """Look for an error of TLS behind those that the driver put in front of it."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return refused(
                "that of a Redis whose certificate is good: it is of an authority that this"
                " machine does not know (ssl_ca_certs= names a file with it), has expired, or is"
                " for another name"
            )
        if isinstance(error, ssl.SSLError):
            return refused("that of a Redis that speaks TLS (redis:// is without)")
        error = error.__cause__ or error.__context__
    return None


def _word(error: exceptions.ResponseError) -> str:
    """Return the first word of Redis' answer, if it is one of its capitals."""
    word = error.status_code or str(error).partition(" ")[0]
    return word if word.isascii() and word.isalpha() and word.isupper() else "ERR"

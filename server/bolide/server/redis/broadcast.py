"""The broadcast through Redis: one channel that all nodes publish to and hear.

What a node publishes within a moment travels as one *frame*, numbered by its node and sealed with a
secret that the nodes share and Redis does not know: who may publish in Redis can make no message,
change none and repeat none of a node that is heard. A number that is missing means that something
was lost, and the listeners are told.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence

# What a frame holds is known after it was read.
from typing import Any, Final

import msgspec
import structlog

from bolide.core.errors import StateError
from bolide.server.broadcast.base import (
    BroadcastAway,
    BroadcastFull,
    BroadcastListener,
    BroadcastStatistics,
    check_message,
)
from bolide.server.broadcast.listeners import Listeners
from bolide.server.broadcast.waiting import MESSAGE_LIFE_S, WaitingMessage, WaitingMessages
from bolide.server.clock import Clock, sleep
from bolide.server.limits import Limits
from bolide.server.random_ids import random_id
from bolide.server.redis.connection import RedisConnection
from bolide.server.redis.discovery import Server
from bolide.server.redis.errors import RedisAway, ReplyTooLarge
from bolide.server.redis.link import RedisLink, until_one_fails
from bolide.server.telemetry.metrics import Metrics

__all__ = [
    "CLOSE_TIMEOUT_S",
    "JOIN_TIMEOUT_S",
    "RedisBroadcast",
    "channel_of",
    "read_frame",
    "seal_frame",
]

JOIN_TIMEOUT_S: Final = 5.0
"""How long a new node waits until it hears the others, seconds."""

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a node that stops tries to hand on what waits, seconds."""

_FRAME_BYTES: Final = 65_536
"""About how much travels at once, bytes; one message may be larger."""
_SEAL_BYTES: Final = 16
_REFUSED_PAUSE_S: Final = 1.0
_TELL_EVERY_S: Final = 60.0
_MAX_NODES: Final = 1_000


def channel_of(secret: bytes) -> str:
    """Return a name for the channel of the nodes with a secret: others may be on this Redis."""
    return hmac.digest(secret, b"channel", hashlib.sha256)[:8].hex()


class _Frame(msgspec.Struct, array_like=True):
    """What travels.

    Attributes:
        node: Whose it is; a node that starts anew has another id.
        number: The first one is 1.
        messages: Topic and payload of each.
    """

    node: str
    number: int
    messages: list[tuple[str, bytes]]


def seal_frame(
    secret: bytes, node: str, number: int, messages: Sequence[tuple[str, bytes]]
) -> bytes:
    """Return a frame as bytes.

    Args:
        secret: Of the nodes.
        node: Id of this node.
        number: Of the frame.
        messages: Topic and payload of each.
    """
    body = msgspec.msgpack.encode(_Frame(node, number, list(messages)))
    return _seal(secret, body) + body


def read_frame(secret: bytes, sealed: bytes) -> _Frame | None:
    """Read a frame; None if no node with the secret made it.

    Args:
        secret: Of the nodes.
        sealed: What came; anybody may have sent it.
    """
    seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(secret, body)):
        return None
    try:
        return msgspec.msgpack.decode(body, type=_Frame)
    except msgspec.MsgspecError:  # of another release
        return None


def _seal(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, b"broadcast" + body, hashlib.sha256)[:_SEAL_BYTES]


class RedisBroadcast:
    """Messages through Redis.

    Args:
        link: The way to Redis; it must not be open yet, and is opened and closed by others.
        channel: Name of the channel.
        secret: That the nodes share and Redis does not know.
        clock: The time.
        limits: How large a message may be, and how much may wait.
        metrics: Where refused frames are counted.
    """

    path = "redis"

    def __init__(
        self,
        link: RedisLink,
        channel: str,
        secret: bytes,
        *,
        clock: Clock,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        """Wait to be opened."""
        self.statistics = BroadcastStatistics()
        self.node_id = random_id()
        self._link = link
        self._channel = channel
        self._secret = secret
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._listeners = Listeners()
        self._waiting = WaitingMessages(limits.max_broadcast_queue_bytes)
        # A frame whose arrival is not certain is sent again as it is.
        self._sent: tuple[bytes, list[WaitingMessage]] | None = None
        self._number = 0
        self._heard: dict[str, int] = {}
        self._neighbours: int | None = None
        self._is_open = False
        self._is_closed = False
        self._news = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._hears = asyncio.Event()
        self._told_at: float | None = None
        self._log = structlog.get_logger("bolide.broadcast")
        link.add(self)

    async def open(self) -> None:
        """Return when messages of the other nodes come, or Redis is away."""
        await self._until_away(self._hears, JOIN_TIMEOUT_S)
        self._is_open = True

    async def close(self) -> None:
        """Hand on what waits, within a moment, and let nothing come any more."""
        self._is_open, self._is_closed = False, True
        if self._waiting or self._sent is not None:
            self._is_idle.clear()
            self._news.set()
            await self._until_away(self._is_idle, CLOSE_TIMEOUT_S)

    def listen(self, listener: BroadcastListener) -> None:
        """Tell ``listener`` of every message from now on."""
        self._listeners.add(listener)

    def unlisten(self, listener: BroadcastListener) -> None:
        """Tell it nothing more."""
        self._listeners.discard(listener)

    def publish(self, topic: str, payload: bytes) -> None:
        """Tell the own listeners, and let it wait for the others."""
        if not self._is_open:
            raise StateError("The broadcast is not open.")
        check_message(topic, payload, self._limits)
        now = self._clock.now()
        self.statistics.expired += self._waiting.expire(now)
        state = self._link.state
        if not state.is_connected and now - state.since >= MESSAGE_LIFE_S:
            raise BroadcastAway
        if not self._waiting.add(WaitingMessage(topic, payload, now)):
            raise BroadcastFull
        self._news.set()
        self.statistics.published += 1
        self._listeners.receive(topic, payload)

    @property
    def waits_because(self) -> str:
        """Why messages do not reach the other nodes now, in words; empty if all is well."""
        state = self._link.state
        return "" if state.is_connected else f"Redis {state.because}"

    @property
    def neighbours(self) -> int | None:
        """How many other nodes hear; None while nobody knows."""
        return self._neighbours

    # The service of the link

    async def serve(self, server: Server) -> None:
        """Send and hear through a server until cancelled.

        Raises:
            RedisAway: If a connection is lost.
        """
        try:
            await until_one_fails(self._hear(server), self._send(server))
        finally:
            self._hears.clear()
            self._neighbours = None

    # Inside

    async def _until_away(self, event: asyncio.Event, timeout_s: float) -> None:
        """Wait for an event, while Redis is there and for a time at most."""
        over = asyncio.Event()
        self._link.watch(over.set)
        timer = self._clock.call_at(self._clock.now() + timeout_s, over.set)
        if not self._link.state.is_connected:
            over.set()
        waits = [asyncio.create_task(one.wait()) for one in (event, over)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        timer.cancel()
        self._link.unwatch(over.set)

    async def _hear(self, server: Server) -> None:
        # In a cluster, messages of a shard's channel stay on the server that holds our keys.
        subscribe = "SSUBSCRIBE" if server.has_shards else "SUBSCRIBE"
        max_bytes = 2 * (self._limits.max_broadcast_bytes + _FRAME_BYTES)
        while True:
            connection = await server.connect(max_reply_bytes=max_bytes)
            try:
                await connection.command(subscribe, self._channel)
                if self._is_open:
                    self._miss()
                self._hears.set()
                while True:
                    self._take(await connection.next_message())
            except ReplyTooLarge:
                self._refuse()
            finally:
                await connection.close()
            # Whoever sends such things again costs a node one of them in a second.
            await sleep(self._clock, _REFUSED_PAUSE_S)

    def _take(self, told: Any) -> None:
        """Take what Redis tells a subscriber."""
        if told[0] not in (b"message", b"smessage"):
            raise RedisAway("holds our keys on another server now")
        frame = read_frame(self._secret, told[2])
        if frame is None:
            self._refuse()
            return
        if frame.node == self.node_id or self._is_closed:
            return
        last = self._heard.pop(frame.node, None)
        if last is not None and frame.number <= last:
            self._heard[frame.node] = last
            return
        self._heard[frame.node] = frame.number
        if len(self._heard) > _MAX_NODES:
            del self._heard[next(iter(self._heard))]
        if last is not None and frame.number > last + 1:
            self._miss()
        for topic, payload in frame.messages:
            self.statistics.received += 1
            self._listeners.receive(topic, payload)

    def _miss(self) -> None:
        self.statistics.losses += 1
        self._listeners.miss()

    def _refuse(self) -> None:
        """Count what no node of ours sent; told once a minute, and nothing of what was in it."""
        self._metrics.redis_messages_refused.inc()
        now = self._clock.now()
        if self._told_at is None or now >= self._told_at:
            self._told_at = now + _TELL_EVERY_S
            self._log.warning("somebody else publishes on the nodes' channel in Redis")

    async def _send(self, server: Server) -> None:
        # Whoever hears nothing yet would take the next one for the first.
        await self._hears.wait()
        publish = "SPUBLISH" if server.has_shards else "PUBLISH"
        connection = await server.connect()
        try:
            await self._count_nodes(connection, server)
            while True:
                while frame := self._next_frame():
                    hearers: int = await connection.command(publish, self._channel, frame)
                    self._neighbours = max(0, hearers - 1)
                    self._arrived()
                self._is_idle.set()
                await self._news.wait()
                self._news.clear()
        finally:
            await connection.close()

    def _next_frame(self) -> bytes | None:
        """Return what is to be sent: again, if it is not certain that it arrived."""
        now = self._clock.now()
        if self._sent is not None and self._sent[1][-1].is_expired(now):
            self.statistics.expired += len(self._sent[1])
            self._sent = None  # the others miss its number
        if self._sent is None:
            self.statistics.expired += self._waiting.expire(now)
            taken = self._waiting.take(_FRAME_BYTES)
            if not taken:
                return None
            self._number += 1
            messages = [(message.topic, message.payload) for message in taken]
            self._sent = seal_frame(self._secret, self.node_id, self._number, messages), taken
        return self._sent[0]

    def _arrived(self) -> None:
        assert self._sent is not None
        self.statistics.sent += len(self._sent[1])
        self._sent = None

    async def _count_nodes(self, connection: RedisConnection, server: Server) -> None:
        count = "SHARDNUMSUB" if server.has_shards else "NUMSUB"
        _, hearers = await connection.command("PUBSUB", count, self._channel)
        self._neighbours = max(0, hearers - 1)

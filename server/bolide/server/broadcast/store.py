"""The broadcast through the store: an expiring collection that every node follows.

A node writes what it publishes as documents, several messages in each if they come fast, and the
store's feed brings them to all others. Every ten seconds it writes a *beat*, so that the others
know that it is there; a beat also ends a stretch, and what the node wrote before it is deleted.
While no other node is there only beats are written.

A new node says hello and reads who else is there. Each of those answers with a beat that names it;
after that whatever they publish is written, and :meth:`StoreBroadcast.open` returns.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from pymongo.errors import DuplicateKeyError

from bolide.core.errors import StateError
from bolide.core.values import Document
from bolide.server.broadcast.base import (
    BroadcastFull,
    BroadcastListener,
    BroadcastStatistics,
    check_message,
)
from bolide.server.broadcast.listeners import Listeners
from bolide.server.broadcast.neighbours import Neighbours
from bolide.server.broadcast.waiting import WaitingMessage, WaitingMessages
from bolide.server.clock import Clock, Timer
from bolide.server.limits import Limits
from bolide.server.methods.errors import log_failure
from bolide.server.random_ids import random_id
from bolide.server.stores.base import (
    Blockable,
    ChangeBatch,
    ChangeKind,
    Delete,
    Expiring,
    Insert,
    Position,
    Query,
    Store,
)
from bolide.server.stores.own_collections import MESSAGES

__all__ = ["BEAT_EVERY_S", "MESSAGES", "StoreBroadcast"]

BEAT_EVERY_S: Final = 10.0
"""How often a node says that it is there, seconds."""

JOIN_TIMEOUT_S: Final = 3.0
"""How long a new node waits for those that are there, seconds; one that died never answers."""

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a node that stops tries to hand on what waits, seconds."""

FORGOTTEN_AFTER_S: Final = 120
"""Age at which the database forgets what no node deleted, seconds."""

RETRY_EVERY_S: Final = 1.0
"""Pause before something is written again that could not be, seconds."""

_HELLO: Final = 1
"""Number of the first document of a node; it knows nobody yet."""

_MAX_DOCUMENT_BYTES: Final = 524_288
_STRETCH_BYTES: Final = 1_048_576
"""Messages written after which a beat comes early, so that they are deleted."""


class StoreBroadcast:
    """Messages through a store that several nodes have open.

    Args:
        store: Must be open when :meth:`open` is called, and declared with :data:`MESSAGES`.
        clock: The time.
        limits: How large a message may be, and how much may wait.
    """

    path = "store"

    def __init__(self, store: Store, clock: Clock, limits: Limits) -> None:
        """Wait to be opened."""
        self.statistics = BroadcastStatistics()
        self.node_id = random_id()
        self._store = store
        self._clock = clock
        self._limits = limits
        self._listeners = Listeners()
        self._neighbours = Neighbours()
        self._waiting = WaitingMessages(limits.max_broadcast_queue_bytes)
        # Those that were there before us and do not know us yet.
        self._unanswered: set[str] = set()
        # Those that answered before it was read who is there.
        self._early: set[str] | None = set()
        self._joined = asyncio.Event()
        self._news = asyncio.Event()
        self._again = asyncio.Event()
        self._is_closing = False
        # Those that left without a word, and documents behind.
        self._silent: list[str] = []
        self._seq = 0
        self._stretch_bytes = 0
        self._beat_is_due = False
        self._tick_is_due = False
        self._must_look = False
        self._is_failing = False
        self._sender: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._log = structlog.get_logger("bolide.broadcast")

    async def open(self) -> None:
        """Say hello, and return when the other nodes know this one."""
        if isinstance(self._store, Expiring):
            await self._store.expire_after(MESSAGES, "at", FORGOTTEN_AFTER_S)
        self._store.listen(self)
        try:
            await self._store.write(self._insert(self._document([], is_beat=True)))
            await self._look()
        except BaseException:
            self._store.unlisten(self)
            raise
        early, self._early = self._early or set(), None
        self._unanswered.update(set(self._neighbours.ids) - early)
        self._sender = asyncio.create_task(self._send())
        self._wait_for_beat()
        await self._join()

    async def close(self) -> None:
        """Hand on what waits, say good-bye, and let nothing come any more."""
        sender, self._sender = self._sender, None
        if sender is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._is_closing = True
        self._news.set()
        self._again.set()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.wait([sender])
                if not sender.cancelled():
                    sender.result()
                await self._leave()
        except Exception as error:  # the others will find out
            log_failure(self._log, error, task="close the broadcast")
        finally:
            sender.cancel()
            self._store.unlisten(self)

    def listen(self, listener: BroadcastListener) -> None:
        """Tell ``listener`` of every message from now on."""
        self._listeners.add(listener)

    def unlisten(self, listener: BroadcastListener) -> None:
        """Tell it nothing more."""
        self._listeners.discard(listener)

    def publish(self, topic: str, payload: bytes) -> None:
        """Tell the own listeners, and let it wait for the others if there are any."""
        if self._sender is None:
            raise StateError("The broadcast is not open.")
        check_message(topic, payload, self._limits)
        if self._neighbours:
            now = self._clock.now()
            self.statistics.expired += self._waiting.expire(now)
            message = WaitingMessage(topic, payload, now)
            if not self._waiting.add(message):
                raise BroadcastFull
            self._news.set()
        self.statistics.published += 1
        self._listeners.receive(topic, payload)

    @property
    def waits_because(self) -> str:
        """Why messages do not reach the other nodes now, in words; empty if all is well."""
        store = self._store
        if isinstance(store, Blockable) and store.blocked_because:
            return store.blocked_because
        return "the store refuses to write" if self._is_failing else ""

    @property
    def neighbours(self) -> int:
        """How many other nodes there are."""
        return len(self._neighbours)

    # The listener of the store's feed

    def changes_received(self, batch: ChangeBatch) -> None:
        """Take what the nodes wrote."""
        for change in batch.changes:
            if change.collection != MESSAGES:
                continue
            if change.kind is ChangeKind.COLLECTION_LOST:
                self._miss()
            elif change.kind is ChangeKind.INSERT and change.after is not None:
                try:
                    self._receive(change.after)
                except (KeyError, TypeError, ValueError) as error:  # no node of ours wrote it
                    log_failure(self._log, error, task="read a message")

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Want none: a message is never changed."""
        return False

    def history_lost(self, position: Position) -> None:
        """Learn that something was missed."""
        del position
        self._miss()

    # Inside

    def _receive(self, document: Document) -> None:
        """Take a document of any node.

        Raises:
            KeyError, TypeError, ValueError: If no node wrote it.
        """
        node = document["node"]
        if node == self.node_id:
            if document.get("tick"):
                self._own_beat_came()
            return
        messages = [_message(*message) for message in document["messages"]]
        if document.get("bye"):
            self._neighbours.left(node)
            self._answered(node)
            return
        is_new = self._neighbours.heard(node)
        if is_new:
            self._beat()
        knows = document.get("knows")
        if knows is not None and self.node_id in knows:
            self._answered(node)
        elif knows is not None and not is_new and document["seq"] > _HELLO:
            self._look_whether_given_up(node)
        for topic, payload in messages:
            self.statistics.received += 1
            self._listeners.receive(topic, payload)

    def _own_beat_came(self) -> None:
        gone = self._neighbours.own_beat_came()
        for node in gone:
            self._log.info("node gone", silent_node=node)
            self._silent.append(node)
        if gone:
            self._news.set()

    def _look_whether_given_up(self, node: str) -> None:
        """Learn that a node that knew this one does not any more: it wrote nothing for it."""
        if node not in self._unanswered:
            self._miss()

    def _answered(self, node: str) -> None:
        if self._early is not None:
            self._early.add(node)
        self._unanswered.discard(node)
        if not self._unanswered:
            self._joined.set()

    def _miss(self) -> None:
        self.statistics.losses += 1
        self._must_look = True
        self._beat()
        self._listeners.miss()

    def _beat(self) -> None:
        self._beat_is_due = True
        self._news.set()

    def _tick(self) -> None:
        self._tick_is_due = True
        self._beat()
        self._wait_for_beat()

    def _wait_for_beat(self) -> None:
        self._timer = self._clock.call_at(self._clock.now() + BEAT_EVERY_S, self._tick)

    async def _join(self) -> None:
        """Wait until those that were there know this node, or do not answer."""
        if not self._unanswered:
            return
        timer = self._clock.call_at(self._clock.now() + JOIN_TIMEOUT_S, self._joined.set)
        await self._joined.wait()
        timer.cancel()
        if self._unanswered:
            self._log.info("nodes do not answer", nodes=len(self._unanswered))
            self._unanswered.clear()

    async def _look(self) -> None:
        """Read who is there."""
        found = await self._store.read(Query(collection=MESSAGES, projection={"node": 1}))
        nodes = dict.fromkeys(map(_writer, found.documents))
        for node in nodes:
            if node not in ("", self.node_id):
                self._neighbours.heard(node)

    async def _send(self) -> None:
        """Write what waits, until this node stops."""
        while not self._is_closing:
            await self._news.wait()
            self._news.clear()
            # Also when this node stops: what waits is handed on.
            while self._waiting or self._beat_is_due or self._silent:
                await self._send_next()

    async def _send_next(self) -> None:
        """Write one document, however often it takes."""
        self.statistics.expired += self._waiting.expire(self._clock.now())
        messages = self._waiting.take(_MAX_DOCUMENT_BYTES)
        # Where nothing is left of what waited, a beat says at least that we are there.
        is_beat, is_tick = self._beat_is_due or not messages, self._tick_is_due
        self._beat_is_due = self._tick_is_due = False
        document = self._document(messages, is_beat=is_beat, is_tick=is_tick)
        while True:
            try:
                await self._write(document)
                break
            except Exception as error:
                await self._recover(error)
            now = self._clock.now()
            fresh = [message for message in messages if not message.is_expired(now)]
            self.statistics.expired += len(messages) - len(fresh) + self._waiting.expire(now)
            messages = fresh
            document["messages"] = _stored(fresh)
        if self._is_failing:
            self._is_failing = False
            self._log.info("broadcast works again", expired=self.statistics.expired)
        self.statistics.sent += len(messages)
        self._stretch_bytes += sum(message.size for message in messages)
        if self._stretch_bytes >= _STRETCH_BYTES:
            self._beat_is_due = True

    async def _write(self, document: Document) -> None:
        if self._must_look:
            await self._look()
            self._must_look = False
        # The outcome of a former attempt may be unknown: then the id is taken, by ourselves.
        with suppress(DuplicateKeyError):
            await self._store.write(self._insert(document))
        if "knows" in document:
            await self._delete({"node": self.node_id, "seq": {"$lt": document["seq"]}})
            self._stretch_bytes = 0
        while self._silent:
            await self._delete({"node": self._silent[-1]})
            self._silent.pop()

    async def _recover(self, error: Exception) -> None:
        """Say what is wrong, once, and wait a little; a node that stops does not wait."""
        if self._is_closing:
            raise error
        if not self._is_failing:
            self._is_failing = True
            log_failure(self._log, error, task="broadcast")
        self._again.clear()
        timer = self._clock.call_at(self._clock.now() + RETRY_EVERY_S, self._again.set)
        await self._again.wait()
        timer.cancel()

    async def _leave(self) -> None:
        """Say good-bye, and leave nothing behind."""
        farewell = {**self._document([]), "bye": True}
        await self._store.write(self._insert(farewell))
        await self._delete({"node": self.node_id})

    async def _delete(self, selector: dict[str, Any]) -> None:
        await self._store.write(Delete(collection=MESSAGES, selector=selector, many=True))

    def _document(
        self,
        messages: Sequence[WaitingMessage],
        *,
        is_beat: bool = False,
        is_tick: bool = False,
    ) -> Document:
        self._seq += 1
        document: dict[str, Any] = {
            "_id": f"{self.node_id}.{self._seq}",
            "node": self.node_id,
            "seq": self._seq,
            "at": datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC),
            "messages": _stored(messages),
        }
        if is_beat:
            document["knows"] = self._neighbours.ids
        if is_tick:
            document["tick"] = True
        return document

    def _insert(self, document: Document) -> Insert:
        return Insert(collection=MESSAGES, documents=[document])


def _message(topic: object, payload: object) -> tuple[str, bytes]:
    if not isinstance(topic, str) or not isinstance(payload, bytes):
        raise TypeError
    return topic, payload


def _stored(messages: Sequence[WaitingMessage]) -> list[list[Any]]:
    return [[message.topic, message.payload] for message in messages]


def _writer(document: Document) -> str:
    """Return the node that wrote a document; empty if no node did."""
    node = document.get("node")
    return node if isinstance(node, str) else ""

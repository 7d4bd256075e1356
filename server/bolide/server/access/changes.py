"""Changed permissions, told from node to node."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from bolide.server.broadcast.base import Broadcast, BroadcastFull
from bolide.server.clock import Clock, Timer
from bolide.server.random_ids import random_id

__all__ = ["LOOK_EVERY_S", "TOPIC", "WATCHED_S", "AccessChanges"]

TOPIC: Final = "access"
"""Topic of the messages."""

LOOK_EVERY_S: Final = 5.0
"""How often it is looked whether the other nodes were told, seconds."""

WATCHED_S: Final = 60.0
"""How long that is done after a change, seconds: longer than a message or a write may wait."""


class AccessChanges:
    """Tells the other nodes whose permissions changed, and asks again for what they tell.

    A message says for whom a node should ask again, never what was decided; so one that is forged,
    late or repeated costs a look and changes no decision. A broadcast gives messages up after a
    while, and what was taken away must not stay because of that: what could not be told is told
    later, for everybody, until it can be; and who may have missed a message asks for everybody.

    Args:
        broadcast: The way to the other nodes.
        ask: Asks this node's sessions again, those of one person or, for None, all.
        clock: The time.
    """

    def __init__(
        self, broadcast: Broadcast, ask: Callable[[str | None], None], clock: Clock
    ) -> None:
        """Take what the others tell from now on."""
        self._broadcast = broadcast
        self._ask = ask
        self._clock = clock
        self._node = random_id()
        self._expired = 0
        self._is_owed = False
        self._watched_until = 0.0
        self._timer: Timer | None = None
        self._log = structlog.get_logger("bolide.access")
        broadcast.listen(self)

    def close(self) -> None:
        """Tell and take nothing more."""
        self._broadcast.unlisten(self)
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, user_id: str | None) -> None:
        """Tell the other nodes; this one asks by itself.

        Args:
            user_id: Whose permissions changed; None for everybody's.
        """
        if self._timer is None:
            self._expired = self._broadcast.statistics.expired
        message = msgspec.msgpack.encode((self._node, user_id))
        try:
            self._broadcast.publish(TOPIC, message)
        except (BroadcastFull, ValueError) as error:  # ValueError: the id of the user is too long
            if not self._is_owed:
                self._log.warning(
                    "other nodes not told of changed permissions yet", error=type(error).__name__
                )
            self._is_owed = True
        else:
            self._is_owed = False
        self._watched_until = self._clock.now() + WATCHED_S
        if self._timer is None:
            self._look_later()

    # The listener of the broadcast

    def message_received(self, topic: str, payload: bytes) -> None:
        """Ask again, if another node tells that permissions changed."""
        if topic != TOPIC:
            return
        try:
            node, user_id = msgspec.msgpack.decode(payload, type=tuple[str, str | None])
        except msgspec.MsgspecError:  # of another release: nobody knows whom it is about
            node, user_id = "", None
        if node != self._node:
            self._ask(user_id)

    def messages_missed(self) -> None:
        """Ask again for everybody: it may have been told."""
        self._ask(None)

    # Inside

    def _look_later(self) -> None:
        self._timer = self._clock.call_at(self._clock.now() + LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Tell it again, if it was given up."""
        self._timer = None
        expired = self._broadcast.statistics.expired
        given_up, self._expired = expired > self._expired, expired
        if self._is_owed or given_up:
            self.tell(None)
        elif self._broadcast.waits_because or self._clock.now() < self._watched_until:
            self._look_later()

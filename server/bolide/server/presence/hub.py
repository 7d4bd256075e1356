"""The presence of one node: its own members, those of the others, and who watches them.

Members of this node are in no database. The node tells the others who came and left at the end of
each turn of the loop, and a third of the lease later which version that was, so that whoever missed
something asks. A node that is silent for the lease is gone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from bolide.core.ejson import parse, stringify
from bolide.core.errors import EJSONError, MethodError
from bolide.server.access.decisions import Decisions, Question
from bolide.server.broadcast.base import Broadcast, BroadcastFull
from bolide.server.channels.payload import Payload
from bolide.server.channels.rates import SendRates
from bolide.server.channels.topic import SourceHost
from bolide.server.clock import Clock, Timer
from bolide.server.limits import Limits
from bolide.server.methods.errors import log_failure
from bolide.server.presence.gathering import By, Gathering, HereSource
from bolide.server.presence.member import Member, Place, ids_of, members_of, written
from bolide.server.presence.peers import MISSED_ROUNDS, Difference, Peers
from bolide.server.presence.stays import Holder, Stays
from bolide.server.random_ids import random_id
from bolide.server.turn import Turn

__all__ = ["PresenceHub", "Watched"]

_TOPIC: Final = "presence"
_OVERHEAD_BYTES: Final = 256
_ANSWER_PAUSE_S: Final = 0.5
"""Least time from one list of all members to the next, and from one question to the next."""


class Watched:
    """A subscription's place at a gathering.

    Args:
        hub: Where.
        place: Of what.
        source: What shows it to the subscription.
    """

    __slots__ = ("_hub", "_place", "_source")

    def __init__(self, hub: "PresenceHub", place: Place, source: HereSource) -> None:
        """Remember it."""
        self._hub = hub
        self._place = place
        self._source = source

    def stop(self) -> None:
        """Show nothing any more; harmless a second time."""
        self._hub.unwatch(self._place, self._source)


class PresenceHub:
    """Who is where, over all nodes.

    Args:
        broadcast: The way to all nodes.
        turn: When the others are told.
        clock: The time.
        limits: How much may be told of a member, how often, and how many places a session has.
        lease_s: How long a node may be silent, seconds.

    Attributes:
        limits: As given.
    """

    def __init__(
        self, broadcast: Broadcast, turn: Turn, clock: Clock, limits: Limits, lease_s: float
    ) -> None:
        """Begin with nobody."""
        self.limits = limits
        self._broadcast = broadcast
        self._turn = turn
        self._clock = clock
        self._round_s = lease_s / MISSED_ROUNDS
        self._node = random_id()
        self._version = 0
        self._own: dict[str, Member] = {}
        self._stays = Stays(limits.max_presence_places)
        self._rates = SendRates(
            limits.max_channel_session_rate, limits.max_channel_topic_rate, clock.now()
        )
        self._payloads: dict[str, Payload] = {}
        self._gatherings: dict[Place, Gathering] = {}
        self._peers = Peers()
        self._places: dict[str, Place] = {}  # of every member, by its id
        self._joined: dict[str, Member] = {}
        self._left: dict[str, None] = {}
        self._must_list = False
        self._must_ask = False
        self._answer_timer: Timer | None = None
        self._round_timer: Timer | None = None
        self._log = structlog.get_logger("bolide.presence")
        broadcast.listen(self)

    def start(self) -> None:
        """Ask who is there, and begin to tell that this node is."""
        if self._payloads:
            self._tell("ask", None, self._node)
            self._wait_for_round()

    def close(self) -> None:
        """Tell that everybody of this node left, and nothing more."""
        for member in tuple(self._own.values()):
            self._remove_own(member)
        self._flush()
        self._broadcast.unlisten(self)
        for timer in (self._answer_timer, self._round_timer):
            if timer is not None:
                timer.cancel()

    def add(self, name: str, payload: Payload) -> None:
        """Take members of a presence."""
        self._payloads[name] = payload

    # Own members

    # Any value: the type is checked.
    def enter(
        self,
        place: Place,
        session: str,
        user_id: str | None,
        info: Any,
        holder: Holder,
        decisions: Decisions,
    ) -> None:
        """Let a session be somewhere, or say something else of it.

        Args:
            place: Where.
            session: Its id.
            user_id: Who is logged in.
            info: Of the declared type.
            holder: Until when: the session or a subscription of it.
            decisions: What was asked before, and answered.

        Raises:
            MethodError: 400 if ``info`` is too large; ``too-many-places``.
            RateLimited: If too much was told in this second.
            WrongPayload: If it is not of the type.
        """
        self._rates.check(session, *place, self._clock.now())
        value = self._payloads[place[0]].value_of(info)
        size = len(stringify(value).encode())
        if size > self.limits.max_presence_bytes:
            raise MethodError(
                400,
                f"What is told of a member has {size} bytes, more than max_presence_bytes"
                f" ({self.limits.max_presence_bytes})",
            )
        id = self._stays.enter(session, place, holder, decisions)
        self._put_own(Member(id, place, user_id, value))

    def leave(self, place: Place, session: str, holder: Holder | None = None) -> None:
        """Let a session not be somewhere any more; harmless if it is not.

        Args:
            place: Where.
            session: Its id.
            holder: Who wants it to be there no longer; None for all.
        """
        id = self._stays.leave(session, place, holder)
        if id is not None:
            self._remove_own(self._own[id])

    def session_ended(self, session: str) -> None:
        """Let a session be nowhere."""
        for id in self._stays.end(session):
            self._remove_own(self._own[id])

    def user_changed(self, session: str) -> None:
        """Let a session be only where subscriptions of its new user put it."""
        for id in self._stays.release_session(session):
            self._remove_own(self._own[id])

    def access_changed(self, session: str, decide: Callable[[Question], bool]) -> None:
        """Let a session be nowhere that its user may not be any more.

        Args:
            session: Its id.
            decide: Answers a question now.
        """
        for id in self._stays.ask_again(session, decide):
            self._remove_own(self._own[id])

    # Watching

    def members(self, place: Place) -> list[Member]:
        """Return everybody at a place, on all nodes."""
        gathering = self._gatherings.get(place)
        return [] if gathering is None else list(gathering.members.values())

    def watch(self, place: Place, by: By, host: SourceHost) -> Watched:
        """Show everybody at a place to a subscription, from now on."""
        source = HereSource(host, by)
        self._gathering(place).join(source)
        return Watched(self, place, source)

    def unwatch(self, place: Place, source: HereSource) -> None:
        """Show a place to a subscription no more."""
        gathering = self._gatherings.get(place)
        if gathering is not None:
            gathering.leave(source)
            self._let_go(place)

    @property
    def own_count(self) -> int:
        """How many members this node has."""
        return len(self._own)

    @property
    def member_count(self) -> int:
        """How many members it knows of, on all nodes."""
        return len(self._places)

    @property
    def peer_count(self) -> int:
        """How many other nodes have members."""
        return len(self._peers)

    # The listener of the broadcast

    def message_received(self, topic: str, payload: bytes) -> None:
        """Learn of members of other nodes."""
        if topic != _TOPIC:
            return
        try:
            difference = self._read(parse(payload.decode()))
        except (EJSONError, MethodError, UnicodeDecodeError, ValueError) as error:
            log_failure(self._log, error, task="read presence")
            return
        self._apply(difference)
        if self._peers.unknown:
            self._answer_soon()

    def messages_missed(self) -> None:
        """Ask everybody, because something may have been missed."""
        self._must_ask = True
        self._answer_soon()

    # Inside

    def _read(self, message: Any) -> Difference:
        """Take a message of another node.

        Raises:
            MethodError, ValueError: If no node of ours wrote it.
        """
        match message:
            case [str(), str() as node, *_] if node == self._node and message[0] != "ask":
                return Difference()
            case ["ask", node, asker]:
                if node in (None, self._node) and asker != self._node and self._version:
                    self._must_list = True
                    self._answer_soon()
                return Difference()
            case ["beat", str() as node, int() as version]:
                self._peers.beat(node, version)
                return Difference()
            case ["change", str() as node, int() as version, int() as count, joined, left]:
                whole = self._members_of(joined)
                return self._peers.changed(node, version, count, whole, ids_of(left))
            case ["list", str() as node, int() as version, int() as part, int() as parts, members]:
                whole = self._members_of(members)
                return self._peers.listed(node, version, part, parts, whole)
            case _:
                raise ValueError("no message of presence")

    def _members_of(self, values: Any) -> list[Member]:
        """Read members; those of presences that this app does not know come to nothing."""
        members = members_of(values)
        for member in members:
            payload = self._payloads.get(member.place[0])
            if payload is not None:
                payload.validated(member.info)
        return members

    def _apply(self, difference: Difference) -> None:
        for id in difference.left:
            self._remove(id)
        for member in difference.joined:
            self._put(member)

    def _put_own(self, member: Member) -> None:
        self._own[member.id] = member
        self._joined[member.id] = member
        self._turn.deliver_later(self._flush)
        self._put(member)

    def _remove_own(self, member: Member) -> None:
        del self._own[member.id]
        self._joined.pop(member.id, None)
        self._left[member.id] = None
        self._turn.deliver_later(self._flush)
        self._remove(member.id)

    def _put(self, member: Member) -> None:
        if member.place[0] in self._payloads:
            self._places[member.id] = member.place
            self._gathering(member.place).put(member)

    def _remove(self, id: str) -> None:
        place = self._places.pop(id, None)
        if place is not None:
            self._gatherings[place].remove(id)
            self._let_go(place)

    def _gathering(self, place: Place) -> Gathering:
        found = self._gatherings.get(place)
        if found is None:
            found = self._gatherings[place] = Gathering(place)
        return found

    def _let_go(self, place: Place) -> None:
        gathering = self._gatherings.get(place)
        if gathering is not None and gathering.is_empty:
            del self._gatherings[place]

    # What is told

    def _flush(self) -> None:
        """Tell the others who came and left in this turn."""
        joined, self._joined = list(self._joined.values()), {}
        left, self._left = list(self._left), {}
        if not joined and not left:
            return
        count = len(self._own)
        for ids in self._in_parts(left):
            self._version += 1
            self._tell("change", self._node, self._version, count, [], ids)
        for members in self._in_parts([written(member) for member in joined]):
            self._version += 1
            self._tell("change", self._node, self._version, count, members, [])

    def _list(self) -> None:
        """Tell the others of everybody."""
        parts = self._in_parts([written(member) for member in self._own.values()]) or [[]]
        for number, members in enumerate(parts):
            self._tell("list", self._node, self._version, number, len(parts), members)

    def _in_parts(self, values: Sequence[Any]) -> list[list[Any]]:
        """Divide values so that each part is one message."""
        most = self.limits.max_broadcast_bytes - _OVERHEAD_BYTES
        parts: list[list[Any]] = []
        left = 0
        for value in values:
            size = len(stringify(value).encode()) + 1
            if size > left:
                parts.append([])
                left = most
            parts[-1].append(value)
            left -= size
        return parts

    def _tell(self, *message: Any) -> None:
        # Where there is no room, the others see by the next version that they missed one.
        with suppress(BroadcastFull):
            self._broadcast.publish(_TOPIC, stringify(list(message)).encode())

    def _answer_soon(self) -> None:
        if self._answer_timer is None:
            due = self._clock.now() + _ANSWER_PAUSE_S
            self._answer_timer = self._clock.call_at(due, self._answer)

    def _answer(self) -> None:
        """Tell what was asked for, and ask what was missed; each once, whoever wanted it."""
        self._answer_timer = None
        if self._must_list:
            self._must_list = False
            self._flush()
            self._list()
        unknown, must_ask = sorted(self._peers.unknown), self._must_ask
        self._peers.unknown.clear()
        self._must_ask = False
        for node in [None] if must_ask else unknown:
            self._tell("ask", node, self._node)

    def _wait_for_round(self) -> None:
        due = self._clock.now() + self._round_s
        self._round_timer = self._clock.call_at(due, self._end_round)

    def _end_round(self) -> None:
        self._wait_for_round()
        if self._own:
            self._tell("beat", self._node, self._version)
        # While nothing can come, silence says nothing.
        if not self._broadcast.waits_because:
            gone = self._peers.end_round()
            if gone.left:
                self._log.info("members gone with their node", members=len(gone.left))
            self._apply(gone)

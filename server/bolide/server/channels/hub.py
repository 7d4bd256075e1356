"""The channels of one node: from methods to the broadcast, and from there to subscriptions."""

from functools import partial
from typing import Any, Final

import structlog

from bolide.core.ejson import parse, stringify
from bolide.core.errors import EJSONError, MethodError
from bolide.server.broadcast.base import Broadcast
from bolide.server.channels.payload import Payload
from bolide.server.channels.rates import SendRates
from bolide.server.channels.topic import ChannelSource, SourceHost, Topic
from bolide.server.clock import Clock, Timer
from bolide.server.limits import Limits
from bolide.server.methods.errors import log_failure
from bolide.server.telemetry.metrics import Metrics

__all__ = ["ChannelHub", "Listened"]

_PREFIX: Final = "channel/"


class Listened:
    """A subscription's place at a topic.

    Args:
        hub: Where.
        place: Channel and topic.
        source: What passes messages on.
    """

    __slots__ = ("_hub", "_place", "_source")

    def __init__(self, hub: "ChannelHub", place: tuple[str, str], source: ChannelSource) -> None:
        """Remember it."""
        self._hub = hub
        self._place = place
        self._source = source

    def stop(self) -> None:
        """Pass nothing on any more; harmless a second time."""
        self._hub.leave(self._place, self._source)


class ChannelHub:
    """Sends and receives the messages of all channels of an app.

    Args:
        broadcast: The way to all nodes.
        clock: The time.
        limits: How large messages may be, and how many.
        metrics: What is counted.

    Attributes:
        limits: As given.
    """

    def __init__(
        self, broadcast: Broadcast, clock: Clock, limits: Limits, metrics: Metrics
    ) -> None:
        """Begin without a channel."""
        self._broadcast = broadcast
        self._clock = clock
        self.limits = limits
        self._metrics = metrics
        self._payloads: dict[str, Payload] = {}
        self._topics: dict[tuple[str, str], Topic] = {}
        self._timers: dict[tuple[str, str], Timer] = {}
        self._rates = SendRates(
            limits.max_channel_session_rate, limits.max_channel_topic_rate, clock.now()
        )
        self._log = structlog.get_logger("bolide.channels")
        broadcast.listen(self)

    def close(self) -> None:
        """Pass nothing on any more; the sessions have ended."""
        self._broadcast.unlisten(self)

    def add(self, channel: str, payload: Payload) -> None:
        """Take messages of a channel."""
        self._payloads[channel] = payload

    # Any value: the payload's type is checked.
    def send(self, channel: str, topic: str, message: Any, session: str | None) -> None:
        """Tell everybody who listens, in all nodes.

        Args:
            channel: Which channel.
            topic: Which topic of it.
            message: A value of the channel's type.
            session: Id of the session that it is sent for, None for the server itself.

        Raises:
            MethodError: 400 if it is too large or has a topic that is too long;
                ``messages-waiting`` if other nodes cannot be reached.
            RateLimited: If too much was sent in this second.
            WrongPayload: If it is not of the type.
        """
        self._rates.check(session, channel, topic, self._clock.now())
        value = self._payloads[channel].value_of(message)
        text = stringify([topic, value]).encode()
        if len(text) > self.limits.max_channel_message_bytes:
            raise MethodError(
                400,
                f"A message of {len(text)} bytes is larger than max_channel_message_bytes"
                f" ({self.limits.max_channel_message_bytes})",
            )
        self._broadcast.publish(_PREFIX + channel, text)
        self._metrics.channel_messages_sent.labels(channel).inc()

    def listen(self, channel: str, topic: str, lives_s: float, host: SourceHost) -> Listened:
        """Pass the messages of a topic on to a subscription, from now on."""
        place = (channel, topic)
        found = self._topics.get(place)
        if found is None:
            most = self.limits.max_channel_messages
            found = self._topics[place] = Topic(channel, topic, lives_s, most)
        source = ChannelSource(host)
        found.join(source)
        return Listened(self, place, source)

    def leave(self, place: tuple[str, str], source: ChannelSource) -> None:
        """Pass nothing on to a source."""
        topic = self._topics.get(place)
        if topic is None:
            return
        topic.leave(source)
        if not topic:
            del self._topics[place]
            timer = self._timers.pop(place, None)
            if timer is not None:
                timer.cancel()

    @property
    def topic_count(self) -> int:
        """How many topics somebody listens to."""
        return len(self._topics)

    @property
    def listener_count(self) -> int:
        """How many places at topics subscriptions have."""
        return sum(map(len, self._topics.values()))

    # The listener of the broadcast

    def message_received(self, topic: str, payload: bytes) -> None:
        """Show a message of any node, if it is one of a channel of this app."""
        channel = topic.removeprefix(_PREFIX)
        check = self._payloads.get(channel)
        if check is None or channel == topic:
            return
        try:
            name, value = _read(payload)
            found = self._topics.get((channel, name))
            # Who sent it may be of another version, or nobody of ours.
            message = check.validated(value) if found is not None else None
        except (EJSONError, MethodError, UnicodeDecodeError, ValueError) as error:
            log_failure(self._log, error, channel=channel)
            return
        if found is not None:
            self._metrics.channel_messages_delivered.labels(channel).inc(len(found))
            found.receive(message, self._clock.now())
            self._watch((channel, name), found)

    def messages_missed(self) -> None:
        """Do nothing: nobody keeps messages, so nobody can look."""

    # Inside

    def _watch(self, place: tuple[str, str], topic: Topic) -> None:
        """Be called when a message of a topic is over."""
        deadline = topic.next_deadline
        if deadline is not None and place not in self._timers and topic:
            self._timers[place] = self._clock.call_at(deadline, partial(self._expire, place))

    def _expire(self, place: tuple[str, str]) -> None:
        del self._timers[place]
        topic = self._topics[place]
        topic.expire(self._clock.now())
        self._watch(place, topic)


def _read(payload: bytes) -> tuple[str, Any]:
    """Read the topic and the message.

    Raises:
        EJSONError, UnicodeDecodeError, ValueError: If no node of ours wrote it.
    """
    match parse(payload.decode()):
        case [str() as name, value]:
            return name, value
        case _:
            raise ValueError

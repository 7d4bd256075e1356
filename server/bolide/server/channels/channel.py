"""The channel: what an app sends to, and lets publications listen to."""

from typing import Any, ClassVar

from bolide.core.errors import AuthError, MethodError
from bolide.server.access.invocation import Invocation, current
from bolide.server.channels.hub import ChannelHub, Listened
from bolide.server.channels.payload import Payload
from bolide.server.channels.topic import SourceHost
from bolide.server.limits import Limits
from bolide.server.logging.explained import NotRunning

__all__ = ["Channel", "Exit", "Listening", "NotRunningChannel"]


class NotRunningChannel(NotRunning):
    """A channel was used while no node serves its app."""

    code: ClassVar[str] = "not-running"

    def __str__(self) -> str:
        """Say how to run it."""
        return (
            "The app is not running, so its channels reach nobody:"
            " start it with `bolide run MODULE:APP`, or use them in @app.on_startup."
        )


class Exit:
    """The check at a way out of an app: whether a handler may use one topic.

    Args:
        name: Of the channel.
        is_scoped: Whether topics are access scopes.
    """

    __slots__ = ("_is_scoped", "_name")

    def __init__(self, name: str, *, is_scoped: bool) -> None:
        """Take what is declared."""
        self._name = name
        self._is_scoped = is_scoped

    def check(self, topic: object, action: str, limits: Limits) -> Invocation | None:
        """Make sure that the running invocation may use a topic; return that invocation.

        Args:
            topic: Which.
            action: What is done, in the past tense, such as ``"sent to"``.
            limits: How long a topic may be.

        Raises:
            UndecidedAccess: If nobody decided.
            UnopenedAccess: If topics are access scopes and none is open.
            AuthError: If this one is not open.
            MethodError: 400, if the topic is too long.
            TypeError: If it is no text.
        """
        if not isinstance(topic, str):
            raise TypeError(f"A topic is a text, not a {type(topic).__name__}.")
        invocation = current()
        if invocation is not None:
            what = f"{action} {self._name}"
            invocation.check_exit(what)
            if self._is_scoped and topic not in invocation.open_scopes(what):
                raise AuthError
        size = len(topic.encode())
        if size > limits.max_channel_topic_bytes:
            raise MethodError(
                400,
                f"A topic of {size} bytes is longer than max_channel_topic_bytes"
                f" ({limits.max_channel_topic_bytes})",
            )
        return invocation


class Listening:
    """What a publish function returns to let its client hear a topic; ``channel.listen`` makes it.

    Attributes:
        channel: Name of the channel.
        topic: The topic.
    """

    __slots__ = ("_channel", "channel", "topic")

    def __init__(self, channel: "Channel", topic: str) -> None:
        """Keep what is to be heard."""
        self._channel = channel
        self.channel = channel.name
        self.topic = topic

    def check(self) -> None:
        """Make sure that the running invocation may listen.

        Raises:
            UndecidedAccess, UnopenedAccess, AuthError, MethodError: As :meth:`Exit.check`.
        """
        self._channel.check_listening(self.topic)

    def start(self, host: SourceHost) -> Listened:
        """Pass messages on to a subscription from now on."""
        return self._channel.listen_for(self.topic, host)


class Channel:
    """Messages of one type, by topic; ``app.channel`` makes it.

    Attributes:
        name: Its name; clients know its messages as documents of a collection of this name.
    """

    # Annotations are of any type.
    def __init__(self, name: str, payload: Any, *, is_scoped: bool, lives_s: float) -> None:
        """Make a channel that reaches nobody yet."""
        self.name = name
        self.payload = Payload("message", payload, f'app.channel("{name}")')
        self._exit = Exit(name, is_scoped=is_scoped)
        self._lives_s = lives_s
        self._hub: ChannelHub | None = None

    async def send(self, topic: str, message: Any) -> None:
        """Tell everybody who listens to a topic now, in all nodes.

        It goes out at once, and is not taken back with a transaction. Code outside a handler may
        send, too.

        Args:
            topic: Such as the ward; at most ``max_channel_topic_bytes``.
            message: Of the declared type, or what a client would send for one.

        Raises:
            AuthError: If topics are access scopes, and this one was not opened with
                ``ctx.require(permission, topic)``.
            MethodError: 400 if it or the topic is too large;
                ``messages-waiting`` if too much waits for other nodes.
            RateLimited: If too much was sent in this second.
            WrongPayload: If it is not of the type.
        """
        hub = self._running()
        invocation = self._exit.check(topic, "sent to", hub.limits)
        session = None if invocation is None else invocation.session
        hub.send(self.name, topic, message, None if session is None else session.id)

    def listen(self, topic: str) -> Listening:
        """Let the client hear a topic; for a publish function to return, also in a list.

        Args:
            topic: Such as the ward.
        """
        return Listening(self, topic)

    def check_listening(self, topic: str) -> None:
        """Make sure that the running invocation may listen to a topic."""
        self._exit.check(topic, "listened to", self._running().limits)

    def listen_for(self, topic: str, host: SourceHost) -> Listened:
        """Pass a topic on to a subscription that may hear it."""
        return self._running().listen(self.name, topic, self._lives_s, host)

    def attach(self, hub: ChannelHub) -> None:
        """Use a node's hub from now on; the node does this."""
        self._hub = hub
        hub.add(self.name, self.payload)

    def detach(self) -> None:
        """Reach nobody from now on."""
        self._hub = None

    def _running(self) -> ChannelHub:
        if self._hub is None:
            raise NotRunningChannel
        return self._hub

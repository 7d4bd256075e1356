"""Presence as an app uses it: who enters, who leaves, who is here."""

from functools import partial
from typing import Any, ClassVar

from bolide.core.errors import AuthError, StateError
from bolide.server.access.invocation import Invocation
from bolide.server.channels.channel import Exit, NotRunningChannel
from bolide.server.channels.payload import Payload
from bolide.server.channels.topic import SourceHost
from bolide.server.context import Context
from bolide.server.logging.explained import Explained
from bolide.server.presence.gathering import By
from bolide.server.presence.hub import PresenceHub, Watched
from bolide.server.presence.member import Member
from bolide.server.presence.stays import SESSION

__all__ = ["Here", "NoSession", "Presence"]


class NoSession(Explained, StateError):
    """Somebody was to be somewhere, and there is nobody."""

    code: ClassVar[str] = "no-session"

    def __init__(self, name: str) -> None:
        """Keep which presence."""
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        """Say where it works."""
        return (
            f"Nobody can enter {self.name} here: only a handler that runs for a session can let"
            " that session enter or leave."
        )


class Here:
    """What a publish function returns to show who is here; ``presence.here`` makes it.

    Attributes:
        channel: Name of the presence.
        topic: Where.
        by: What a document stands for.
    """

    __slots__ = ("_presence", "by", "channel", "topic")

    def __init__(self, presence: "Presence", topic: str, by: By) -> None:
        """Keep what is to be shown."""
        self._presence = presence
        self.channel = presence.name
        self.topic = topic
        self.by: By = by

    def check(self) -> None:
        """Make sure that the running invocation may look."""
        self._presence.check(self.topic, "published who is in")

    def start(self, host: SourceHost) -> Watched:
        """Show it to a subscription from now on."""
        return self._presence.hub.watch((self.channel, self.topic), self.by, host)


class Presence:
    """Who is where, by topic; ``app.presence`` makes it.

    Attributes:
        name: Its name; clients know its members as documents of a collection of this name.
    """

    # Annotations are of any type.
    def __init__(self, name: str, payload: Any, *, is_scoped: bool) -> None:
        """Make a presence of nobody."""
        self.name = name
        self.payload = Payload("info", payload, f'app.presence("{name}")')
        self._exit = Exit(name, is_scoped=is_scoped)
        self._hub: PresenceHub | None = None

    async def enter(self, ctx: Context, topic: str, info: Any = None) -> None:
        """Let the session be somewhere, or say something else of it.

        In a publication until the subscription stops; in a method until :meth:`leave`, until
        another user logs in, the permission is lost, or the session ends.

        Args:
            ctx: Of the handler.
            topic: Such as the ward; at most ``max_channel_topic_bytes``.
            info: What others see of it, of the declared type.

        Raises:
            AuthError: If topics are access scopes, and this one was not opened with
                ``ctx.require(permission, topic)``; or if meanwhile the session ended, another user
                logged in, or the permission was lost.
            MethodError: 400 if ``info`` or the topic is too large;
                ``too-many-places``.
            NoSession: If the handler runs for no session.
            RateLimited: If too much was told in this second.
            WrongPayload: If it is not of the type.
        """
        invocation = self.check(topic, "entered")
        if invocation is None or ctx.session is None:
            raise NoSession(self.name)
        if not ctx.is_current:  # it waited, and was overtaken
            raise AuthError
        session, place = ctx.session.id, (self.name, topic)
        is_published = invocation.kind == "publication"
        holder = invocation if is_published else SESSION
        self.hub.enter(place, session, ctx.user_id, info, holder, invocation.decisions)
        if is_published:
            ctx.on_stop(partial(self.hub.leave, place, session, holder))

    async def leave(self, ctx: Context, topic: str) -> None:
        """Let the session not be somewhere any more; harmless if it is not.

        Args:
            ctx: Of the handler.
            topic: As it entered.

        Raises:
            NoSession: If the handler runs for no session.
        """
        if ctx.session is None:
            raise NoSession(self.name)
        self.hub.leave((self.name, topic), ctx.session.id)

    def here(self, topic: str, by: By = "session") -> Here:
        """Show who is somewhere; for a publish function to return, also in a list.

        Args:
            topic: Where.
            by: ``"session"``: a document for each session; ``"user"``: one for each person, with
                the number of sessions.

        Raises:
            ValueError: If ``by`` is neither.
        """
        # The annotation is a promise of the app.
        if by not in ("session", "user"):
            raise ValueError(f'by of {self.name}.here is "session" or "user".')
        return Here(self, topic, by)

    def members(self, topic: str) -> list[Member]:
        """Return who is somewhere now, on all nodes: ``user_id`` and ``info`` of each session.

        Args:
            topic: Where.
        """
        self.check(topic, "read who is in")
        return self.hub.members((self.name, topic))

    def check(self, topic: str, action: str) -> Invocation | None:
        """Make sure that the running invocation may use a topic; return that invocation."""
        return self._exit.check(topic, action, self.hub.limits)

    @property
    def hub(self) -> PresenceHub:
        """The node's.

        Raises:
            NotRunningChannel: If no node serves the app.
        """
        if self._hub is None:
            raise NotRunningChannel
        return self._hub

    def attach(self, hub: PresenceHub) -> None:
        """Use a node's hub from now on; the node does this."""
        self._hub = hub
        hub.add(self.name, self.payload)

    def detach(self) -> None:
        """Know of nobody from now on."""
        self._hub = None

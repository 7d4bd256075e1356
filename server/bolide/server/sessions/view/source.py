"""The source: one live query that publishes documents for one subscription."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bolide.server.sessions.events import Subscription
from bolide.server.sessions.transport import Wire
from bolide.server.sessions.view.mergebox import LiveView
from bolide.server.sessions.view.view_change import ViewChange

__all__ = ["FollowedView", "Gate", "Source"]


class Gate:
    """Whether packets that a live query shares may go straight to a session's socket.

    Attributes:
        is_open: Nothing else waits for this client, so what is sent now is in order.
        wire: How packets are made.
        send: Puts packets on the socket.
    """

    __slots__ = ("is_open", "send", "wire")

    def __init__(self, wire: Wire, send: Callable[[Sequence[bytes]], object]) -> None:
        """Begin shut."""
        self.is_open = False
        self.wire = wire
        self.send = send


class FollowedView(LiveView, Protocol):
    """A live query's result, as a session uses it."""

    def initial(self) -> Sequence[ViewChange]:
        """Return every document as added; shared by all who join."""
        ...

    def catch_up(self) -> None:
        """Tell all followers now what they would be told at the end of the turn."""
        ...

    def step_in(self, source: "Source", gate: Gate) -> None:
        """Send shared packets through the gate while it is open, instead of telling the source."""
        ...

    def step_out(self, source: "Source") -> None:
        """Tell the source of every change again; harmless if it was told all along."""
        ...


class Source:
    """One live query of one subscription; the owner of its documents in the merge box.

    Attributes:
        subscription: For whom it publishes.
        collection: Where.
        view: Its result, once it was joined.
        may_step_in: Nobody has to be told of its changes but the client.
    """

    __slots__ = ("_failed", "_publish", "collection", "may_step_in", "subscription", "view")

    def __init__(
        self,
        subscription: Subscription,
        collection: str,
        publish: Callable[["Source", Sequence[ViewChange] | None], object],
        failed: Callable[[Exception], object],
        *,
        may_step_in: bool = True,
    ) -> None:
        """Make a source that has published nothing yet.

        Args:
            subscription: For whom it publishes.
            collection: Where.
            publish: Called with the source and what changed; with None when it is joined.
            failed: Called when the query cannot be followed any longer.
            may_step_in: Nobody has to be told of its changes but the client.
        """
        self.subscription = subscription
        self.collection = collection
        self.view: FollowedView | None = None
        self.may_step_in = may_step_in
        self._publish = publish
        self._failed = failed

    # The follower of a live query

    def view_joined(self, view: FollowedView) -> None:
        """Publish the whole result."""
        self.view = view
        self._publish(self, None)

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Publish what changed."""
        self._publish(self, changes)

    def view_failed(self, error: Exception) -> None:
        """End the subscription."""
        self._failed(error)

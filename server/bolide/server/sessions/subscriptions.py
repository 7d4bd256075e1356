"""The subscriptions of one session, and what they publish in the client's view.

Theory of operation::

    begun --ended, or its session closed--------------------------------> inactive
      |----- user change: a new run takes its place, nothing is taken back --^
      '----- restarted: becomes the former of a new run, until that published --^

What is published by a subscription that is not active is lost without a word: its handler cannot
know yet that it ended.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from bolide.core.ddp.messages import Sub
from bolide.core.values import UNDEFINED, Fields
from bolide.server.sessions.events import Event, Subscription, SubscriptionStopped
from bolide.server.sessions.view.client_view import ClientView
from bolide.server.sessions.view.source import Source
from bolide.server.sessions.view.view_change import ViewChange, changed_message

__all__ = ["Subscriptions"]


class Subscriptions:
    """All subscriptions of one client.

    Args:
        view: Where they publish.
        events: Where the session gathers its events.
        check: Called after something was published: too much may wait now.

    Attributes:
        named: The active ones that the client asked for, by id.
        universal: The active ones that the node began.
    """

    __slots__ = ("_check", "_events", "_view", "named", "universal")

    def __init__(self, view: ClientView, events: list[Event], check: Callable[[], object]) -> None:
        """Begin without any."""
        self.named: dict[str, Subscription] = {}
        self.universal: list[Subscription] = []
        self._view = view
        self._events = events
        self._check = check

    def __len__(self) -> int:
        """Count the active ones."""
        return len(self.named) + len(self.universal)

    def running(self) -> list[Subscription]:
        """Return the active ones, without those being replaced."""
        return [*self.named.values(), *self.universal]

    @property
    def request_bytes(self) -> int:
        """Size of the client's messages whose arguments are held, bytes."""
        return sum(subscription.size for subscription in self.named.values())

    # Their beginning and end

    def begin(self, request: Sub, size: int) -> Subscription:
        """Make a subscription that the client asked for; its id is free.

        Args:
            request: The client's message.
            size: Of it, bytes.
        """
        subscription = Subscription(request.id, request.name, request.params, size=size)
        self.named[request.id] = subscription
        return subscription

    def begin_universal(self) -> Subscription:
        """Make a subscription of a universal publication; it has neither id nor name."""
        subscription = Subscription(None, None)
        self.universal.append(subscription)
        return subscription

    def restart(self, subscription: Subscription, *, keeps_documents: bool) -> Subscription | None:
        """Replace a subscription by a new run of it; ``ready`` is not sent a second time.

        Args:
            subscription: One of :meth:`running`.
            keeps_documents: What it published stays, and stays current, until :meth:`end_former`
                of the new run; otherwise it is taken back now.

        Returns:
            The new run; None if the subscription failed while it was taken back, and ended.
        """
        new = Subscription(
            subscription.id,
            subscription.name,
            subscription.params,
            is_ready=subscription.is_ready,
            size=subscription.size,
        )
        former, subscription.former = subscription.former, None
        if keeps_documents:
            new.former = former or subscription
        for old in (former, subscription):
            if old is not None and old is not new.former:
                self.take_back(old)
        if subscription not in self.running():
            return None
        if new.id is not None:
            self.named[new.id] = new
        else:
            self.universal[self.universal.index(subscription)] = new
        return new

    def end_former(self, subscription: Subscription) -> None:
        """Take back what only the former run of a subscription published, if there is one."""
        former, subscription.former = subscription.former, None
        if former is not None:
            self.take_back(former)

    def end(self, subscription: Subscription) -> None:
        """Forget one of :meth:`running`, and take back what it published."""
        if subscription.id is None:
            self.universal.remove(subscription)
        else:
            del self.named[subscription.id]
        self.end_former(subscription)
        self.take_back(subscription)

    def take_back(self, subscription: Subscription) -> None:
        """Let one publish nothing any more, and take back what it published."""
        for source in tuple(subscription.sources):
            if isinstance(source, Source) and source.view is not None:
                source.view.catch_up()
        if not subscription.is_active:
            return  # it is over, or failed by that and ended
        subscription.is_active = False
        for owner in (*subscription.sources, subscription):
            self._view.leave(owner)
        subscription.sources.clear()
        self._events.append(SubscriptionStopped(subscription))

    def renew(self) -> list[Subscription]:
        """Put a new subscription in the place of each named one, and stop all that there were.

        Returns:
            The new ones. What the old ones published is the caller's business.
        """
        named = list(self.named.values())
        self.stop()
        self.named = {
            old.id: Subscription(old.id, old.name, old.params, size=old.size)
            for old in named
            if old.id is not None
        }
        return list(self.named.values())

    def stop(self) -> None:
        """Let nothing be published any more; what is shown is the caller's business."""
        for running in self.running():
            for subscription in (running.former, running):
                if subscription is not None and subscription.is_active:
                    subscription.is_active = False
                    self._events.append(SubscriptionStopped(subscription))
        self.named.clear()
        self.universal.clear()

    # What they publish

    def join(self, source: Source) -> None:
        """Publish the whole result of a live query.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if source.subscription.is_active:
            source.subscription.sources[source] = None
            self._view.join(source)
            self._check()

    def apply(self, source: Source, changes: Sequence[ViewChange]) -> None:
        """Publish changes of a live query that was joined.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if source.subscription.is_active:
            self._view.apply(source, changes)
            self._check()

    def publish(
        self, subscription: Subscription, owner: Hashable, changes: Sequence[ViewChange]
    ) -> None:
        """Publish changes of something that publishes for a subscription, and can leave alone.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        if subscription.is_active:
            subscription.sources[owner] = None
            self._view.apply(owner, changes)
            self._check()

    def leave(self, subscription: Subscription, owner: Hashable) -> None:
        """Take back what one owner published; its subscription goes on without it."""
        if subscription.is_active and owner in subscription.sources:
            del subscription.sources[owner]
            self._view.leave(owner)

    def added(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document.

        Args:
            subscription: Who publishes it.
            collection: Name of the collection on the client.
            id: Its ``_id``.
            fields: Its fields; ``_id`` and UNDEFINED in them are left out.
        """
        if subscription.is_active:
            whole = {name: value for name, value in _writable(fields) if value is not UNDEFINED}
            self._view.apply(subscription, [ViewChange.added(collection, id, whole)])
            self._check()

    def changed(self, subscription: Subscription, collection: str, id: Any, fields: Fields) -> None:
        """Publish other values of some fields; UNDEFINED clears one.

        Raises:
            LocalProtocolError: If the client does not hold the document.
        """
        if subscription.is_active:
            changes = dict(_writable(fields))
            message = changed_message(collection, id, changes)
            self._view.changed(subscription, message, changes)
            self._check()

    def removed(self, subscription: Subscription, collection: str, id: Any) -> None:
        """Take a document back.

        Raises:
            LocalProtocolError: If the client does not hold it.
        """
        if subscription.is_active:
            self._view.apply(subscription, [ViewChange.removed(collection, id, {})])
            self._check()


def _writable(fields: Fields) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in fields.items() if name != "_id")

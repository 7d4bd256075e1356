"""The subscriptions of one client: equal ones share one on the wire."""

from collections.abc import Callable, Sequence
from typing import Any

from bolide.client.ddp.conversation import Conversation
from bolide.client.subscription import SharedSubscription, Subscription
from bolide.core.ejson import canonical
from bolide.core.errors import BolideError

__all__ = ["Subscriptions"]


class Subscriptions:
    """Finds the subscription on the wire for those that programs hold."""

    __slots__ = ("_by_id", "_by_key", "_conversation", "_pump")

    def __init__(self, conversation: Conversation, pump: Callable[[], None]) -> None:
        """Begin without any.

        Args:
            conversation: Where they are made.
            pump: Called when the conversation may have something to send.
        """
        self._conversation = conversation
        self._pump = pump
        self._by_id: dict[str, SharedSubscription] = {}
        self._by_key: dict[tuple[str, str], SharedSubscription] = {}

    # Arguments are the application's: any values.
    def acquire(self, name: str, args: Sequence[Any]) -> Subscription:
        """Return one more reference to a subscription, which may not be ready yet.

        Raises:
            SessionBusy: If there are too many.
            EJSONError: If an argument is no value.
        """
        key = (name, canonical(list(args)))
        shared = self._by_key.get(key)
        if shared is None:
            shared = SharedSubscription(self._conversation.subscribe(name, args), key, name, args)
            self._by_id[shared.id] = self._by_key[key] = shared
            self._pump()
        return Subscription(shared, acquire=self.acquire, release=self._release)

    def ready(self, subscription_id: str) -> None:
        """Tell the holders that the initial documents are there."""
        shared = self._by_id.get(subscription_id)
        if shared is not None:
            shared.ready()

    def ended(self, subscription_id: str, error: BolideError | None) -> None:
        """Tell the holders that it is over."""
        shared = self._by_id.pop(subscription_id, None)
        if shared is not None:
            if self._by_key.get(shared.key) is shared:
                del self._by_key[shared.key]
            shared.end(error)

    def end_all(self, error: BolideError) -> None:
        """Tell all holders that the client has ended."""
        for subscription_id in list(self._by_id):
            self.ended(subscription_id, error)

    def _release(self, shared: SharedSubscription) -> None:
        """Stop a subscription that nobody holds any more."""
        if not shared.holders and not shared.ended.is_set():
            del self._by_key[shared.key]
            self._conversation.unsubscribe(shared.id)
            self._pump()

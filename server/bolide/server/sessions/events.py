"""What a session asks its driver to do, and the things it asks about."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from bolide.core.ddp.messages import CallId

__all__ = [
    "Event",
    "MethodRequested",
    "SessionClosed",
    "SessionOpened",
    "SubscribeRequested",
    "Subscription",
    "SubscriptionStopped",
    "Work",
]


class Work(msgspec.Struct, eq=False):
    """One message whose handler runs; the next one waits until it is finished or unblocked.

    Attributes:
        method_id: The client's id of a call; None for a subscription.
        is_blocking: The queue of the session waits for it.
        was_unblocked: The handler released the queue before its end.
        is_answered: ``result`` was sent.
        is_done: ``updated`` was sent.
        size: Of the client's call, bytes; its arguments are held until it is done.
    """

    method_id: str | None = None
    is_blocking: bool = True
    was_unblocked: bool = False
    is_answered: bool = False
    is_done: bool = False
    size: int = 0


@dataclass(slots=True, eq=False)
class Subscription:
    """One run of a publish function for one session.

    Attributes:
        id: The client's id; None for a universal publication.
        name: The publication; None for a universal one.
        params: The client's arguments.
        is_active: It may publish; False for good once it ended or was replaced by a new run.
        is_ready: ``ready`` was reached, by this run or a former one.
        former: The run that this one replaces; what it published stays until this one did.
        sources: What publishes on its behalf besides itself; each is an owner in the merge box.
        size: Of the client's message, bytes; its arguments are held as long as it is open.
    """

    id: str | None
    name: str | None
    # Arguments of applications: any value.
    params: Sequence[Any] = ()
    is_active: bool = True
    is_ready: bool = False
    former: "Subscription | None" = None
    sources: dict[Hashable, None] = field(default_factory=dict[Hashable, None])
    size: int = 0

    @property
    def is_universal(self) -> bool:
        """It was started by the server, so that there is no ``ready`` and no ``nosub``."""
        return self.id is None


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The client is connected: run the universal publications."""


@dataclass(frozen=True, slots=True)
class SubscribeRequested:
    """Run the publish function of ``subscription``."""

    work: Work
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionStopped:
    """A subscription ended; its documents are already taken back."""

    subscription: Subscription


class MethodRequested(msgspec.Struct, frozen=True):
    """Call a method.

    Attributes:
        work: To be given back with ``result``, ``updated``, ``unblock`` and ``finish``.
        name: The method.
        params: The client's arguments.
        random_seed: Seed of the invocation's random streams, None if the client gave none.
        call: Under which it runs at most once; None: as often as it is sent.
    """

    work: Work
    name: str
    params: Sequence[Any] = ()
    random_seed: str | None = None
    call: CallId | None = None


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The conversation is over; nothing can be sent any more.

    Attributes:
        reason: One line for the peer and the log.
        at_fault: The peer broke a rule or a limit.
    """

    reason: str
    at_fault: bool


Event: TypeAlias = (
    SessionOpened | SubscribeRequested | SubscriptionStopped | MethodRequested | SessionClosed
)

"""What a conversation tells its shell, in the order it happened."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from bolide.core.ddp.messages import WireError
from bolide.core.values import Document

__all__ = [
    "CallFinished",
    "Complaint",
    "ConversationEvent",
    "DocumentChange",
    "GaveUp",
    "LateTold",
    "MoveAsked",
    "PreparationLost",
    "SessionOpened",
    "SubscriptionEnded",
    "SubscriptionReady",
]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The server said ``connected``.

    Attributes:
        build: What the server serves, or None if it does not tell.
    """

    build: str | None = None


@dataclass(frozen=True, slots=True)
class PreparationLost:
    """The connection was lost before the program had prepared the session."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The connection is of no use any more and is to be closed.

    Attributes:
        reason: One sentence, without data.
        is_refused: The server speaks no version of DDP that we do.
        tries_next: Another version is to be offered to the same server, at once.
    """

    reason: str
    is_refused: bool = False
    tries_next: bool = False


@dataclass(frozen=True, slots=True)
class LateTold:
    """The server tells that what is shown may be late.

    Attributes:
        because: Why, in one line; None: not any more.
    """

    because: str | None


@dataclass(frozen=True, slots=True)
class MoveAsked:
    """The server will stop and asks for another connection.

    Attributes:
        within_s: Time until it closes this one, seconds; not checked.
    """

    within_s: float


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has its outcome, and the data it wrote are there.

    Attributes:
        call_id: What :meth:`Conversation.call` returned.
        result: What the method returned; None for nothing.
        error: Why it failed, or None.
    """

    call_id: str
    # A method returns any value.
    result: Any = None
    error: WireError | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionReady:
    """The initial documents of a subscription are there; told once per session."""

    subscription_id: str


@dataclass(frozen=True, slots=True)
class SubscriptionEnded:
    """A subscription is over: stopped by us, or by the server, then perhaps with ``error``."""

    subscription_id: str
    error: WireError | None = None


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document as it is now.

    Attributes:
        collection: Name of the collection.
        document_id: Its ``_id``.
        document: The whole document, ``_id`` included; None if it is gone. Read-only.
    """

    collection: str
    # An ``_id`` is what the application made it: mostly str or ObjectId.
    document_id: Any
    document: Document | None


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something is wrong that ends nothing; one sentence for the log, without data."""

    text: str


ConversationEvent: TypeAlias = (
    SessionOpened
    | PreparationLost
    | GaveUp
    | LateTold
    | MoveAsked
    | CallFinished
    | SubscriptionReady
    | SubscriptionEnded
    | DocumentChange
    | Complaint
)

"""The messages of DDP, one frozen class each, named as on the wire.

Ids of documents are values (``str`` or ``ObjectId``), never wire strings; ``fields``, ``params``
and ``result`` hold values of :mod:`bolide.core.values`. Ids of subscriptions and methods are the
client's own strings. Messages are shared between sessions: nobody changes what they hold.

Specified by DDP version 1. ``bolide`` in ``Connect`` and ``Connected``, ``call`` in ``Method``,
``replace`` in ``Added`` and the messages from ``Resync`` on are our extensions; see
``docs/reference/ddp-extensions.md``. What is None or False is left out of the wire.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from bolide.core.errors import Details
from bolide.core.values import UNDEFINED, Fields, Undefined

__all__ = [
    "Added",
    "BadMessage",
    "CallId",
    "Changed",
    "ClientMessage",
    "Connect",
    "Connected",
    "Error",
    "Failed",
    "Have",
    "Late",
    "Method",
    "Move",
    "Nosub",
    "Ping",
    "Pong",
    "Ready",
    "Removed",
    "Result",
    "Resync",
    "ServerMessage",
    "Sub",
    "Unsub",
    "Updated",
    "Void",
    "Want",
    "WireError",
]


class WireError(msgspec.Struct, frozen=True):
    """An error as the other side sees it: in ``Nosub`` and ``Result``.

    Attributes:
        error: Machine-readable name or number, such as ``"not-found"`` or 404.
        reason: One sentence for a person, or None.
        details: Plain JSON, not EJSON, or None.
        error_type: ``"Meteor.Error"``, which all clients know.
    """

    error: str | int | float
    reason: str | None = None
    details: "Details" = None
    error_type: str = "Meteor.Error"

    @property
    def message(self) -> str:
        """``reason [error]``, or ``[error]`` where there is no reason."""
        return f"{self.reason} [{self.error}]" if self.reason else f"[{self.error}]"


class Connect(msgspec.Struct, frozen=True):
    """Open a session; the first message of a client.

    Attributes:
        version: The version the client speaks; None if the message was malformed, which
            :func:`bolide.core.ddp.negotiation.negotiate` answers with ``Failed``.
        support: Versions it could speak, preferred first.
        session: A former session's id; never resumed.
        bolide: The extensions it asks for, as plain JSON, or None.
    """

    version: str | None
    support: tuple[str, ...]
    session: str | None = None
    bolide: "Mapping[str, Details] | None" = None


class Sub(msgspec.Struct, frozen=True):
    """Subscribe to the publication ``name`` with ``params`` under the client's ``id``."""

    id: str
    name: str
    # Arguments of applications: any value.
    params: Sequence[Any] = ()


class Unsub(msgspec.Struct, frozen=True):
    """Stop the subscription ``id``."""

    id: str


class CallId(msgspec.Struct, frozen=True):
    """What stays the same when a call is sent again.

    Attributes:
        client: Secret of the client, 16 to 64 characters.
        call: Unique within the client, 1 to 64 characters.
    """

    client: str
    call: str


class Method(msgspec.Struct, frozen=True):
    """Call a method.

    Attributes:
        id: The client's id of the call in this session.
        method: Its name.
        params: Its arguments.
        random_seed: Seed of the streams of :mod:`bolide.core.ddp.random`, or None.
        call: Makes it run at most once; None: it may run as often as it is sent.
    """

    id: str
    method: str
    params: Sequence[Any] = ()
    random_seed: str | None = None
    call: CallId | None = None


class Ping(msgspec.Struct, frozen=True):
    """Ask the other side to answer with a ``Pong`` of the same ``id``, UNDEFINED if it has none."""

    id: "Details | Undefined" = UNDEFINED


class Pong(msgspec.Struct, frozen=True):
    """Answer a ``Ping``."""

    id: "Details | Undefined" = UNDEFINED


class BadMessage(msgspec.Struct, frozen=True):
    """A frame of a client that is no message; the answer is ``Error`` with the same attributes.

    Attributes:
        reason: Meteor's text, such as ``"Bad request"``.
        offending_message: The frame as plain JSON; UNDEFINED where Meteor tells none.
        named: Kind and id of a call or a subscription: what takes the place of
            ``offending_message`` for clients that know our extensions.
    """

    reason: str
    offending_message: "Details | Undefined" = UNDEFINED
    named: "Details | Undefined" = UNDEFINED


class Connected(msgspec.Struct, frozen=True):
    """The session is open.

    Attributes:
        session: Its id, 17 characters.
        bolide: The extensions that were agreed on, as plain JSON, or None.
    """

    session: str
    bolide: "Mapping[str, Details] | None" = None


class Failed(msgspec.Struct, frozen=True):
    """No session; the client may try again with ``version``."""

    version: str


class Error(msgspec.Struct, frozen=True):
    """The server could not use a message; the connection stays open.

    Attributes:
        reason: Meteor's text.
        offending_message: The message as plain JSON, UNDEFINED if it is not told.
    """

    reason: str
    offending_message: "Details | Undefined" = UNDEFINED


class Added(msgspec.Struct, frozen=True):
    """A document enters the client's view.

    Attributes:
        collection: Name of the collection.
        id: Its ``_id``.
        fields: Without ``_id`` and without UNDEFINED.
        replace: The client holds another version, which these fields replace as a whole.
    """

    collection: str
    # An ``_id`` is what the application made it: mostly str or ObjectId.
    id: Any
    fields: Fields
    replace: bool = False


class Changed(msgspec.Struct, frozen=True):
    """A document in the view has other fields now.

    Attributes:
        collection: Name of the collection.
        id: Its ``_id``.
        fields: New values of top-level fields, without UNDEFINED.
        cleared: Names of the fields that are gone.
    """

    collection: str
    id: Any
    fields: Fields
    cleared: tuple[str, ...] = ()


class Removed(msgspec.Struct, frozen=True):
    """A document left the view."""

    collection: str
    id: Any


class Ready(msgspec.Struct, frozen=True):
    """The initial data of these subscriptions have been sent."""

    subs: tuple[str, ...]


class Nosub(msgspec.Struct, frozen=True):
    """A subscription ended, or never was; with ``error`` if it failed."""

    id: str
    error: WireError | None = None


class Result(msgspec.Struct, frozen=True):
    """What a method returned, or ``error``; UNDEFINED is written as no result at all."""

    id: str
    result: Any = UNDEFINED
    error: WireError | None = None


class Updated(msgspec.Struct, frozen=True):
    """All data that these methods wrote have been sent."""

    methods: tuple[str, ...]


class Resync(msgspec.Struct, frozen=True):
    """Say what the client still shows, after its subscriptions were sent again.

    Attributes:
        subs: Ids of the subscriptions that it waits for.
        views: Collection -> digest of what it shows of it, 16 bytes.
    """

    subs: tuple[str, ...]
    views: Mapping[str, bytes]


class Want(msgspec.Struct, frozen=True):
    """Ask for the digests of all documents of these collections."""

    collections: tuple[str, ...]


class Have(msgspec.Struct, frozen=True):
    """Tell the documents of wanted collections.

    Attributes:
        views: Collection -> id of the document as on the wire -> its digest, 16 bytes.
        more: Another chunk follows.
    """

    views: Mapping[str, Mapping[str, bytes]]
    more: bool = False


class Void(msgspec.Struct, frozen=True):
    """End a resync without a result: the client drops what it held from before."""


class Move(msgspec.Struct, frozen=True):
    """Ask the client to connect anew ``within`` so many seconds."""

    within: float


class Late(msgspec.Struct, frozen=True):
    """Tell that what is shown may be late, and why; None: not any more."""

    because: str | None


ClientMessage: TypeAlias = Connect | Sub | Unsub | Method | Ping | Pong | Resync | Have
"""What a client sends."""

ServerMessage: TypeAlias = (
    Connected
    | Failed
    | Error
    | Ping
    | Pong
    | Added
    | Changed
    | Removed
    | Ready
    | Nosub
    | Result
    | Updated
    | Want
    | Void
    | Move
    | Late
)
"""What a server sends."""

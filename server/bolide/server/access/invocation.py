"""The invocation: one run of a handler, with who runs it and what was decided.

It is a context variable, so that a collection knows on whose behalf it is used. Code outside an
invocation (start-up, jobs, the command line) is trusted.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import StateError
from bolide.server.access.claim import Claim
from bolide.server.access.decisions import Decisions
from bolide.server.access.fence import Fence
from bolide.server.logging.explained import Explained
from bolide.server.stores.base import Receipt, WriteOutcomeUnknown

__all__ = [
    "Invocation",
    "PublishedOutside",
    "SessionInfo",
    "UndecidedAccess",
    "UnopenedAccess",
    "current",
    "entered",
]


@dataclass(frozen=True, slots=True, eq=False)
class SessionInfo:
    """The session that a handler runs for.

    Attributes:
        id: The session's id, 17 characters.
        client_address: Address of the client as the node sees it, None if unknown.
        headers: Headers of the request that opened the session; names are lower case.
    """

    id: str
    client_address: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    _close: Callable[[], object] = field(default=lambda: None, repr=False)

    def close(self) -> None:
        """Close the session and its socket; its handlers are stopped as if the client had left."""
        self._close()


class UndecidedAccess(Explained, StateError):
    """A handler read, wrote or sent data before anybody decided that it may."""

    code: ClassVar[str] = "undecided-access"

    def __init__(self, handler: str, action: str) -> None:
        """Keep what happened.

        Args:
            handler: Kind and name, such as ``"method patients.move"``.
            action: What it did, in the past tense, such as ``"wrote to patients"``.
        """
        super().__init__(handler, action)
        self.handler = handler
        self.action = action

    def __str__(self) -> str:
        """Say what to write."""
        return (
            f"The {self.handler} {self.action} without a decision:"
            " call ctx.require(...), ctx.require_login() or declare public=True."
        )


class UnopenedAccess(UndecidedAccess):
    """A handler used a collection with access scopes and had opened none."""

    code: ClassVar[str] = "unopened-access"

    def __str__(self) -> str:
        """Say what to write."""
        return (
            f"The {self.handler} {self.action} without an open access scope:"
            " call ctx.require(permission, access_scope); nothing else opens a collection with"
            " access=."
        )


class PublishedOutside(Explained, StateError):
    """A publish function published, by hand, what is in no access scope that it opened."""

    code: ClassVar[str] = "published-outside"

    def __init__(self, handler: str, collection: str, field: str) -> None:
        """Keep what happened.

        Args:
            handler: Kind and name.
            collection: Name of the collection.
            field: The field that holds the access scope.
        """
        super().__init__(handler, collection, field)
        self.handler = handler
        self.collection = collection
        self.field = field

    def __str__(self) -> str:
        """Say what to write."""
        return (
            f"The {self.handler} published a document of {self.collection} outside the access"
            f" scopes that it opened: {self.field} must be among its fields, with a scope that"
            " ctx.require(permission, access_scope) was called with."
        )


class Invocation:
    """One run of a handler.

    Attributes:
        kind: What kind of handler runs.
        name: Its registered name; None for a universal publication.
        user_id: Who is logged in, None if nobody is.
        session: The session it runs for; None if the server itself called.
        is_decided: Whether somebody decided that it may touch data.
        opened: The access scopes that ``ctx.require`` opened.
        decisions: What was asked, and the answers.
        fence: Collection -> position of the invocation's last write to it.
        random: The streams that a client's optimistic run draws from, too; None: fresh entropy.
        claim: Makes it run at most once; None: it may run as often as it is called.
    """

    __slots__ = (
        "claim",
        "decisions",
        "fence",
        "is_decided",
        "kind",
        "name",
        "opened",
        "random",
        "session",
        "user_id",
    )

    def __init__(
        self,
        kind: Literal["publication", "method"],
        name: str | None,
        *,
        user_id: str | None = None,
        session: SessionInfo | None = None,
        is_decided: bool = False,
        fence: Fence | None = None,
        random: SeededStreams | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Begin a run.

        Args:
            kind: What kind of handler runs.
            name: Its registered name; None for a universal publication.
            user_id: Who is logged in, None if nobody is.
            session: The session it runs for; None if the server itself called.
            is_decided: Whether the handler was declared public.
            fence: The fence of the calling invocation, for a nested call; None makes a new one.
            random: The streams of the invocation; None: fresh entropy.
            claim: That of the call, shared with nested calls; None: it may run again.
        """
        self.kind: Literal["publication", "method"] = kind
        self.name = name
        self.user_id = user_id
        self.session = session
        self.is_decided = is_decided
        self.opened: set[str] = set()
        self.decisions = Decisions()
        self.fence = Fence() if fence is None else fence
        self.random = random
        self.claim = claim

    @property
    def handler(self) -> str:
        """Kind and name for people: ``"method patients.move"``."""
        if self.name is None:
            return f"universal {self.kind}"
        return f"{self.kind} {self.name}"

    def check_exit(self, action: str) -> None:
        """Make sure that somebody decided before data pass.

        Args:
            action: What is about to happen, in the past tense, such as ``"wrote to patients"``;
                names only, never data, since it is logged.

        Raises:
            UndecidedAccess: If nobody did; the client sees 500, the log this text.
        """
        if not self.is_decided:
            raise UndecidedAccess(self.handler, action)

    def open_scopes(self, action: str) -> frozenset[str]:
        """Return the open access scopes, to use a collection that has such.

        Opened for reading or for writing is the same here: what a permission allows is the app's
        to say, and it said so for this run.

        Args:
            action: As for :meth:`check_exit`.

        Raises:
            UnopenedAccess: If there is none; the client sees 500, the log its text.
        """
        if not self.opened:
            raise UnopenedAccess(self.handler, action)
        return frozenset(self.opened)

    def wrote(self, receipt: Receipt) -> None:
        """Remember a write, so that ``updated`` waits until it was delivered.

        Args:
            receipt: Of the write, or of a committed transaction.
        """
        if receipt.position is not None:
            for collection in receipt.collections:
                self.fence.reached(collection, receipt.position)

    def may_have_written(self, unknown: WriteOutcomeUnknown) -> None:
        """Remember a write that was perhaps done, so that ``updated`` does not come before it."""
        if unknown.position is not None:
            self.fence.will_reach(unknown.collections, unknown.position)


_current: ContextVar[Invocation | None] = ContextVar("bolide_invocation", default=None)


def current() -> Invocation | None:
    """Return the running invocation; None in trusted code."""
    return _current.get()


class entered:
    """Run the block, and the tasks it starts, in an invocation.

    Args:
        invocation: None runs the block as trusted code.
    """

    __slots__ = ("_invocation", "_token")

    def __init__(self, invocation: Invocation | None) -> None:
        """Take the invocation."""
        self._invocation = invocation

    def __enter__(self) -> None:
        """Make it the current one."""
        self._token = _current.set(self._invocation)

    def __exit__(self, *_: object) -> None:
        """Go back to the one before."""
        _current.reset(self._token)

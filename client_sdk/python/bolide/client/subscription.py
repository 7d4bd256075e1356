"""Subscriptions as a program holds them: references to one that is shared."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from bolide.core.errors import BolideError

__all__ = ["SharedSubscription", "Subscription"]


@dataclass(slots=True, eq=False)
class SharedSubscription:
    """One subscription on the wire, and everybody who wants it.

    Attributes:
        id: The conversation's id.
        key: Name and arguments in a form that equal ones share.
        name: Name of the publication.
        args: Its arguments.
        holders: References that are not given up.
        answered: Set when it is ready or has ended.
        was_ready: It has been ready.
        ended: Set when it has ended.
        error: Why it ended, or None.
    """

    id: str
    key: tuple[str, str]
    name: str
    args: Sequence[Any]
    holders: "set[Subscription]" = field(default_factory=set["Subscription"])
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    was_ready: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    error: BolideError | None = None

    def ready(self) -> None:
        """Tell that the initial documents are there."""
        self.was_ready = True
        self.answered.set()

    def end(self, error: BolideError | None) -> None:
        """Tell all holders that it is over."""
        self.error = error
        self.ended.set()
        self.answered.set()
        for holder in self.holders:
            holder.released.set()


class Subscription:
    """One reference to a subscription; made by :meth:`Client.subscribe`."""

    __slots__ = ("_release", "released", "shared")

    def __init__(
        self, shared: SharedSubscription, release: Callable[["Subscription"], None]
    ) -> None:
        """Hold a shared subscription.

        Args:
            shared: What is held; this is added to its holders.
            release: Gives this reference up; called once.
        """
        self.shared = shared
        self._release = release
        self.released = asyncio.Event()
        shared.holders.add(self)

    @property
    def name(self) -> str:
        """Name of the publication."""
        return self.shared.name

    @property
    def args(self) -> tuple[Any, ...]:
        """Its arguments."""
        return tuple(self.shared.args)

    @property
    def is_active(self) -> bool:
        """Neither stopped nor ended by the server."""
        return not self.released.is_set()

    async def stop(self) -> None:
        """Give this reference up; of the last one, wait until the documents are taken back.

        Without a connection there is nothing to wait for. Harmless when repeated.
        """
        self.give_up()
        if not self.shared.holders:
            await self.shared.ended.wait()

    def give_up(self) -> None:
        """Give this reference up without waiting."""
        if self.is_active:
            self.released.set()
            self._release(self)

    async def wait_ended(self) -> BolideError | None:
        """Return when it is over: None if it was stopped, otherwise why it ended.

        The reason is a ``MethodError`` of the server, ``SessionClosed`` or ``SessionBroken``.
        """
        await self.released.wait()
        return self.shared.error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

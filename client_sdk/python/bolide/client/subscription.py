"""Subscriptions as a program holds them: references to one that is shared."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from bolide.core.errors import BolideError, MethodError, SessionClosed

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

    __slots__ = ("_acquire", "_release", "_successor", "released", "shared")

    def __init__(
        self,
        shared: SharedSubscription,
        *,
        acquire: "Callable[[str, Sequence[Any]], Subscription]",
        release: Callable[[SharedSubscription], None],
    ) -> None:
        """Hold a shared subscription.

        Args:
            shared: What is held; this is added to its holders.
            acquire: Makes another reference, with other arguments.
            release: Called when this was taken out of the holders.
        """
        self.shared = shared
        self._acquire = acquire
        self._release = release
        self._successor: Subscription | None = None
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

    async def wait_ready(self) -> None:
        """Return when the initial documents are there; give the reference up if that fails.

        Raises:
            MethodError: If the server refuses.
            SessionClosed: If the client was closed; SessionBroken if it has failed.
        """
        try:
            await _first_of(self.shared.answered, self.released)
        except asyncio.CancelledError:
            self.give_up()
            raise
        if not self.shared.was_ready:
            raise self.shared.error or MethodError(
                "subscription-stopped", "The subscription ended before it was ready."
            )

    # Arguments are the application's: any values.
    async def change(self, *args: Any) -> bool:
        """Go over to other arguments; the old documents stay until the new ones are there.

        Of several changes at a time the last one wins. If the server refuses the new arguments,
        the old ones stay.

        Returns:
            True when the documents of these arguments are there and the old ones are gone; False
            if this was changed again, stopped or ended meanwhile.

        Raises:
            MethodError: If the server refuses.
            SessionBusy: If there are too many subscriptions.
            SessionClosed: If it has ended, or the client was closed; SessionBroken if it failed.
            EJSONError: If an argument is no value.
        """
        if not self.is_active:
            raise SessionClosed("The subscription has ended; subscribe again.")
        former, successor = self._successor, self._acquire(self.name, args)
        self._successor = successor
        if former is not None:
            former.give_up()
        try:
            await successor.wait_ready()
        except BolideError:
            if self._successor is successor:
                raise
        finally:
            is_last = self._successor is successor
            if is_last:
                self._successor = None
        if not is_last or not self.is_active:
            successor.give_up()
            return False
        await self._succeed(successor)
        return True

    async def stop(self) -> None:
        """Give this reference up; of the last one, wait until the documents are taken back.

        Without a connection there is nothing to wait for. Harmless when repeated.
        """
        self.give_up()
        await self._wait_gone(self.shared)

    def give_up(self) -> None:
        """Give this reference up without waiting."""
        if self._successor is not None:
            self._successor.give_up()
            self._successor = None
        if self.is_active:
            self.released.set()
            self._leave()

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

    def _leave(self) -> None:
        self.shared.holders.discard(self)
        self._release(self.shared)

    async def _succeed(self, successor: "Subscription") -> None:
        """Hold what the successor holds, and let the former go."""
        former, shared = self.shared, successor.shared
        shared.holders.add(self)
        successor.give_up()
        if shared is not former:
            self._leave()
            self.shared = shared
            await self._wait_gone(former)

    async def _wait_gone(self, shared: SharedSubscription) -> None:
        if not shared.holders:
            await shared.ended.wait()


async def _first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

"""What a program does on each new connection, such as to log in, before anything else is sent.

A session is prepared from ``connected`` to the end of the program's function. If that fails, the
connection is given up: what waits must not be sent for somebody else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from bolide.client.raised_at import raised_at
from bolide.core.errors import BolideError, SessionClosed, StateError

__all__ = ["OnConnect", "OpenedConnection", "Preparation"]


class OpenedConnection:
    """A connection that the program prepares."""

    __slots__ = ("_call", "is_over")

    def __init__(self, call: Callable[[str, Sequence[Any]], Awaitable[Any]]) -> None:
        """Begin.

        Args:
            call: Calls a method over it, before everything that waits.
        """
        self._call = call
        self.is_over = False

    # Arguments and results are the application's: any values.
    async def call(self, name: str, *args: Any) -> Any:
        """Call a method before everything that waits; return when its result has come.

        Raises:
            MethodError: As the server sent it; ``invocation-failed`` if the connection was lost.
            SessionClosed: If the preparation is over.
            EJSONError: If an argument is no value.
        """
        if self.is_over:
            raise SessionClosed("The preparation of this connection is over; call client.call.")
        return await self._call(name, args)


OnConnect: TypeAlias = Callable[[OpenedConnection], Awaitable[object]]
"""The program's function; runs once for each connection."""

_prepared: ContextVar[OpenedConnection | None] = ContextVar("_prepared", default=None)


class Preparation:
    """Runs the program's function on each connection.

    Attributes:
        failure: What it raised last.
    """

    def __init__(
        self,
        on_connect: OnConnect,
        *,
        call: Callable[[str, Sequence[Any]], Awaitable[Any]],
        done: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        """Wait for a connection.

        Args:
            on_connect: The function.
            call: Calls a method over the connection that is prepared.
            done: Called when it came to its end.
            failed: Called with one sentence when it failed.
        """
        self.failure: BaseException | None = None
        self._on_connect = on_connect
        self._call = call
        self._done = done
        self._failed = failed
        self._connection: OpenedConnection | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Prepare a connection, after a former run has ended."""
        self._connection = OpenedConnection(self._call)
        run = self._run(self._connection, self._task)
        self._task = asyncio.create_task(run, name="bolide.client.on_connect")

    def lose(self) -> None:
        """Learn that the connection is gone, perhaps in the middle of it."""
        if self._connection is not None:
            self._end(self._connection)
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()

    async def wait_ended(self) -> None:
        """Return when nothing runs any more."""
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    def check_outside(self) -> None:
        """Refuse what would wait for the end of the function that asks for it.

        Raises:
            StateError: If the caller is that function.
        """
        if self._connection is not None and _prepared.get() is self._connection:
            raise StateError(
                "Calls and subscriptions wait until on_connect has ended: in it, call methods with"
                " `await connection.call(...)`, and subscribe afterwards."
            )

    def _end(self, connection: OpenedConnection) -> None:
        connection.is_over = True
        self._connection = None

    async def _run(self, connection: OpenedConnection, former: "asyncio.Task[None] | None") -> None:
        if former is not None and not former.done():
            await asyncio.wait([former])
        _prepared.set(connection)
        try:
            await self._on_connect(connection)
        except BaseException as error:
            if not connection.is_over:
                self._end(connection)
                self.failure = error
                self._failed(_sentence(error))
            if not isinstance(error, Exception):
                raise
        else:
            if not connection.is_over:
                self._end(connection)
                self.failure = None
                self._done()


def _sentence(error: BaseException) -> str:
    if isinstance(error, BolideError):
        return f"on_connect failed: {error}"
    return f"on_connect failed: {raised_at(error)}."

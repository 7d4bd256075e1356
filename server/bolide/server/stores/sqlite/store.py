"""The SQLite store: one file, nothing to install, several processes on one machine.

Queries run over documents in memory, so each process needs room for all of them; a gigabyte of BSON
is where MongoDB is the better store.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar, assert_never

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.clock import Clock, Timer
from bolide.server.limits import STORE_MAX_BYTES
from bolide.server.stores.base import ChangeBatch, Transaction
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.store import EmbeddedStore, EmbeddedTransaction
from bolide.server.stores.embedded.transaction import TRANSACTION_LIFETIME_S, OpenTransaction
from bolide.server.stores.embedded.workspace import Workspace
from bolide.server.stores.feed import Feed
from bolide.server.stores.sqlite.file import HISTORY_CHANGES, OPTION
from bolide.server.stores.sqlite.wakeup import WakeUp
from bolide.server.stores.sqlite.writer import (
    LOCK_TIMEOUT_S,
    Answer,
    Answered,
    Begin,
    Close,
    End,
    Expire,
    HistoryLost,
    Outcome,
    Read,
    Request,
    SQLiteWriter,
    Within,
    Write,
)

__all__ = ["LOOK_EVERY_S", "SQLiteStore"]

LOOK_EVERY_S: Final = 0.25
"""How often to look for commits of processes that could not wake this one, seconds."""

_Result = TypeVar("_Result")


class SQLiteStore(EmbeddedStore):
    """Documents in one SQLite file, shared by all processes of one machine that open it.

    Beside the file lie ``-wal`` and ``-shm`` (SQLite's), ``-lock`` (who writes) and the folder
    ``-wake`` (the sockets of the processes). A write returns when it is on the disk. While a
    transaction is open all other writes, of all processes, wait; reads see what is committed.

    Attributes:
        path: The file, absolute and without links.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock | None = None,
        look_every_s: float = LOOK_EVERY_S,
        transaction_lifetime_s: float = TRANSACTION_LIFETIME_S,
        max_bytes: int | None = None,
        history: int = HISTORY_CHANGES,
        store_max_bytes: int = STORE_MAX_BYTES,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Name the file; :meth:`open` opens it.

        Args:
            path: The file; created if it does not exist.
            clock: When to look and when a transaction takes too long; None is the system's.
            look_every_s: See :data:`LOOK_EVERY_S`.
            transaction_lifetime_s: Longest life of a transaction, seconds.
            max_bytes: Largest size of the file, bytes; None is what the disk holds.
            history: See :data:`HISTORY_CHANGES`.
            store_max_bytes: Most bytes of BSON of all documents together.
            lock_timeout_s: How long a write waits for other processes, seconds.

        Raises:
            ConfigurationError: If the path is not one of a file.
        """
        if str(path) in ("", ".", ":memory:"):
            raise ConfigurationError(
                OPTION, f"sqlite:///{path}", "the path of a file; memory: keeps nothing"
            )
        super().__init__(clock, store_max_bytes)
        # Lock and sockets lie beside the file itself, by whatever links it is reached.
        self.path = Path(path).resolve()
        self._look_every_s = look_every_s
        self._transaction_lifetime_s = transaction_lifetime_s
        self._max_bytes = max_bytes
        self._history = history
        self._lock_timeout_s = lock_timeout_s
        self._writer: SQLiteWriter | None = None
        self._wake_up: WakeUp | None = None
        self._next_look: Timer | None = None
        self._look_failed = False

    async def open(self) -> None:
        """Open the file, read all documents and start the feed.

        Raises:
            ConfigurationError: If the file cannot be used; one line says what to do.
        """
        if self._writer is not None:
            raise StateError("The store is open already.")
        writer = SQLiteWriter(
            self.path,
            self._deliver,
            max_bytes=self._max_bytes,
            history=self._history,
            store_max_bytes=self._store_max_bytes,
            lock_timeout_s=self._lock_timeout_s,
        )
        opened = writer.start()
        try:
            self._feed = Feed(await opened)
        except asyncio.CancelledError:
            writer.submit(Close(self._new_answer()))
            raise
        self._writer = writer
        self._watch_size()
        self._join_others(writer)
        self._look()

    def _join_others(self, writer: SQLiteWriter) -> None:
        try:
            wake_up = WakeUp(self.path.with_name(f"{self.path.name}-wake"))
        except OSError:
            # Without a socket the looks alone find what others commit, later.
            return
        self._wake_up = writer.wake_up = wake_up
        asyncio.get_running_loop().add_reader(wake_up.fileno(), self._woken)

    @property
    def blocked_because(self) -> str:
        """Why nothing can be written, in words; empty if all is well."""
        return "" if self._writer is None else self._writer.blocked_because

    async def close(self) -> None:
        """Finish the writes that wait, abort an open transaction, let go of the file."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        if self._next_look is not None:
            self._next_look.cancel()
        if self._wake_up is not None:
            asyncio.get_running_loop().remove_reader(self._wake_up.fileno())
        answer = self._new_answer()
        writer.submit(Close(answer))
        await answer
        writer.join()
        if self._wake_up is not None:
            self._wake_up.close()
            self._wake_up = None
        self._open_feed().close()
        self._feed = None

    @property
    def document_bytes(self) -> int:
        """Bytes of BSON of all documents, as far as this process knows them; 0 if not open."""
        return 0 if self._writer is None else self._writer.document_bytes

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Group reads and writes; commits on leaving the block."""
        opened = await self._begin()
        timer = self._clock.call_at(
            self._clock.now() + self._transaction_lifetime_s,
            lambda: self._submit_if_open(Expire(opened, self._transaction_lifetime_s)),
        )

        async def run(work: Callable[[Workspace], _Result]) -> _Result:
            answer = self._new_answer()
            self._open_writer().submit(Within(opened, work, answer))
            result: _Result = await answer
            return result

        transaction = EmbeddedTransaction(run, self._clock)
        answer = self._new_answer()
        try:
            yield transaction
        except BaseException:
            self._submit_if_open(End(opened, False, answer))
            raise
        else:
            self._open_writer().submit(End(opened, True, answer))
            transaction.committed(await answer)
        finally:
            timer.cancel()

    async def _begin(self) -> OpenTransaction:
        answer = self._new_answer()
        self._open_writer().submit(Begin(answer))
        try:
            opened: OpenTransaction = await asyncio.shield(answer)
        except asyncio.CancelledError:
            # It may begin all the same: nobody else can write until it is ended.
            answer.add_done_callback(self._abandon)
            raise
        return opened

    def _abandon(self, begun: Answer) -> None:
        if begun.exception() is None:
            self._submit_if_open(End(begun.result(), False, self._new_answer()))

    async def _reading(self, work: Callable[[Database], _Result]) -> _Result:
        answer = self._new_answer()
        self._open_writer().submit(Read(work, answer))
        result: _Result = await answer
        return result

    async def _writing(self, work: Callable[[Workspace], _Result]) -> _Result:
        answer = self._new_answer()
        self._open_writer().submit(Write(work, answer))
        result: _Result = await answer
        return result

    def _look(self) -> None:
        """Look for commits of others now, and again in a while."""
        self._see_others()
        self._next_look = self._clock.call_at(self._clock.now() + self._look_every_s, self._look)

    def _woken(self) -> None:
        if self._wake_up is not None:
            self._wake_up.drain()
        self._see_others()

    def _see_others(self) -> None:
        answer = self._new_answer()
        answer.add_done_callback(self._looked)
        self._submit_if_open(Read(_nothing, answer))

    def _looked(self, answer: Answer) -> None:
        """Report a look that failed, but not again every quarter of a second."""
        error = answer.exception()
        if error is not None and not self._look_failed:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "The store cannot see what other processes write.", "exception": error}
            )
        self._look_failed = error is not None

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Answered(answer, value, error):
                    if answer.done():
                        continue
                    if error is None:
                        answer.set_result(value)
                    else:
                        answer.set_exception(error)
                case ChangeBatch():
                    self._watch_size()
                    self._open_feed().deliver(outcome)
                case HistoryLost(position):
                    self._open_feed().lose_history(position)
                case _:
                    assert_never(outcome)

    def _new_answer(self) -> Answer:
        return asyncio.get_running_loop().create_future()

    def _open_writer(self) -> SQLiteWriter:
        if self._writer is None:
            raise StateError("The store is not open.")
        return self._writer

    def _submit_if_open(self, request: Request) -> None:
        if self._writer is not None:
            self._writer.submit(request)


def _nothing(database: Database) -> None:
    """Read nothing: what others committed is looked for before each read."""
    del database

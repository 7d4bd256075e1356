"""The one thread that uses a database file, and the documents it keeps in memory.

Theory of operation. The event loop puts requests into a queue; the thread takes all that wait,
answers the reads from the committed documents, and then writes: it takes the lock file, begins,
applies what other processes committed meanwhile, runs the waiting writes one after the other in
one workspace, writes the changes, commits once for all of them (a group commit), and only then
answers. Results and batches of the feed go back to the loop together and in order.

A transaction has the lock from its beginning to its end, so writes of everybody else wait; reads do
not, they see what is committed. Waiting for the lock is done in another thread, for the same
reason.

What fails on the way to the disk is rolled back as a whole. The writes of the group are then run
again one by one, so that a write that does not fit fails alone. (A savepoint for each would not
do: SQLite reports a full disk at the commit, or rolls everything back by itself.)
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, assert_never

from bolide.core.errors import StateError
from bolide.server.stores.base import ChangeBatch
from bolide.server.stores.embedded.database import Database, Entry
from bolide.server.stores.embedded.transaction import OpenTransaction
from bolide.server.stores.embedded.workspace import Workspace
from bolide.server.stores.sqlite.file import (
    SQLiteFile,
    check_owner,
    check_place,
    open_refusal,
    storage_failure,
)
from bolide.server.stores.sqlite.file_lock import FileLock
from bolide.server.stores.sqlite.schema import DamagedRow
from bolide.server.stores.sqlite.wakeup import WakeUp

__all__ = [
    "MAX_GROUP",
    "Answer",
    "Answered",
    "Begin",
    "Close",
    "End",
    "Expire",
    "HistoryLost",
    "Outcome",
    "Read",
    "Request",
    "SQLiteWriter",
    "Within",
    "Write",
]

MAX_GROUP: Final = 256
"""Most writes in one commit."""

# What a request returns depends on the request; its caller knows.
Answer: TypeAlias = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Read:
    """Run ``work`` over the committed documents."""

    work: Callable[[Database], Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Write:
    """Run ``work`` in a workspace and commit it."""

    work: Callable[[Workspace], Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Begin:
    """Answer with an :class:`OpenTransaction`."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Within:
    """Run ``work`` in the open transaction."""

    transaction: OpenTransaction
    work: Callable[[Workspace], Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class End:
    """Commit or abort a transaction; answers with the position, None if it changed nothing."""

    transaction: OpenTransaction
    commits: bool
    answer: Answer


@dataclass(frozen=True, slots=True)
class Expire:
    """Abort a transaction that is still open after ``lifetime_s`` seconds."""

    transaction: OpenTransaction
    lifetime_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """Finish the writes that can be finished at once, and end the thread."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class _LockAcquired:
    """The waiting thread has the lock."""


Request: TypeAlias = Read | Write | Begin | Within | End | Expire | Close | _LockAcquired


@dataclass(frozen=True, slots=True)
class Answered:
    """A request is done; the error is what its caller gets instead of the value."""

    answer: Answer
    value: Any
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class HistoryLost:
    """Changes up to a position are not known one by one."""

    position: int


Outcome: TypeAlias = Answered | ChangeBatch | HistoryLost


class SQLiteWriter:
    """The thread of one store; all methods with a leading underscore run in it.

    Attributes:
        wake_up: Wakes the other processes; None leaves them to their own look.
    """

    def __init__(
        self,
        path: Path,
        deliver: Callable[[Sequence[Outcome]], None],
        *,
        max_bytes: int | None,
        history: int,
        store_max_bytes: int,
    ) -> None:
        """Make a writer; :meth:`start` comes next.

        Args:
            path: The database file.
            deliver: Called on the event loop with outcomes, in order.
            max_bytes: Largest size of the file, bytes; None is what the disk holds.
            history: Changes that stay in the file.
            store_max_bytes: Most bytes of BSON of all documents together.
        """
        self._path = path
        self._deliver = deliver
        self._max_bytes = max_bytes
        self._history = history
        self._store_max_bytes = store_max_bytes
        self.wake_up: WakeUp | None = None
        self._loop = asyncio.get_running_loop()
        self._queue = SimpleQueue[Request]()
        self._thread = threading.Thread(target=self._run, name="bolide-sqlite", daemon=True)
        self._opened: Answer = self._loop.create_future()
        self._file: SQLiteFile
        self._lock: FileLock
        self._database: Database
        self._data_version = -1
        self._pending: deque[Write | Begin] = deque()
        self._transaction: OpenTransaction | None = None
        self._has_lock = self._waits_for_lock = self._is_running = False
        self._wakes_others = False
        self._outcomes: list[Outcome] = []
        self._closing: list[Answer] = []

    def start(self) -> Answer:
        """Open the file in the thread; the answer is the position."""
        self._thread.start()
        return self._opened

    def submit(self, request: Request) -> None:
        """Hand over a request; its answer is set on the event loop."""
        self._queue.put(request)

    @property
    def document_bytes(self) -> int:
        """Bytes of BSON of all documents; may be asked in any thread once it is open."""
        return self._database.size

    def join(self) -> None:
        """Wait for the thread; it was told to close and has answered."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._open()
        except Exception as error:
            self._tell(Answered(self._opened, None, self._explained(error)))
        else:
            self._tell(Answered(self._opened, self._database.position))
            self._serve()
            self._file.close()
            self._lock.close()
            self._outcomes += [Answered(answer, None) for answer in self._closing]
        self._post()

    def _serve(self) -> None:
        """Answer requests until told to close."""
        self._is_running = True
        self._post()
        while self._is_running:
            for request in self._gather():
                self._handle(request)
            self._post()
            if self._is_running:
                self._write_pending()
                self._post()

    def _open(self) -> None:
        check_place(self._path)
        with contextlib.ExitStack() as undo:
            try:
                check_owner(self._path)
                self._lock = FileLock(self._path.with_name(f"{self._path.name}-lock"))
                undo.callback(self._lock.close)
                self._lock.acquire()
                self._file = SQLiteFile(
                    self._path,
                    max_bytes=self._max_bytes,
                    history=self._history,
                    store_max_bytes=self._store_max_bytes,
                )
                undo.callback(self._file.close)
                # Others may write while this process reads what is there.
                self._lock.release()
                self._data_version = self._file.data_version()
                self._database = self._file.load()
            except (OSError, sqlite3.Error, ValueError) as error:
                raise open_refusal(self._path, error) from error
            undo.pop_all()

    def _gather(self) -> list[Request]:
        """Take what waits in the queue; wait for something unless there is a write to do."""
        requests: list[Request] = []
        if not self._pending or self._transaction or self._waits_for_lock:
            requests.append(self._queue.get())
        with contextlib.suppress(Empty):
            while True:
                requests.append(self._queue.get_nowait())
        return requests

    def _handle(self, request: Request) -> None:
        match request:
            case Read():
                self._attempt(request.answer, lambda: self._read(request.work))
            case Write() | Begin():
                self._pending.append(request)
            case Within(transaction, work, answer):
                self._attempt(answer, lambda: transaction.run(work))
            case End(transaction, commits, answer):
                self._attempt(answer, lambda: self._commit_transaction(transaction, commits))
                transaction.end()
            case Expire(transaction, lifetime_s):
                transaction.expire(lifetime_s)
            case _LockAcquired():
                self._has_lock, self._waits_for_lock = True, False
            case Close(answer):
                self._closing.append(answer)
                self._close()
            case _:
                assert_never(request)

    def _read(self, work: Callable[[Database], Any]) -> Any:
        # While our transaction is open nobody else can commit.
        if self._transaction is None:
            version = self._file.data_version()
            if version != self._data_version:
                self._catch_up()
                self._data_version = version
        return work(self._database)

    def _catch_up(self) -> None:
        """Apply what other processes committed."""
        entries = self._file.read_on(self._database.position)
        if entries is None:
            self._database = self._file.load()
            self._tell(HistoryLost(self._database.position))
        elif entries:
            self._apply(entries)

    def _apply(self, entries: Iterable[Entry]) -> None:
        database = self._database
        changes = [change for entry in entries if (change := database.apply(entry)) is not None]
        self._tell(ChangeBatch(database.position, changes))

    def _write_pending(self) -> None:
        """Do the next group of writes, or begin the next transaction."""
        if self._transaction or self._waits_for_lock or not self._acquire():
            return
        if self._pending and self._begin():
            if isinstance(self._pending[0], Begin):
                self._transaction = OpenTransaction(
                    Workspace(self._database), self._end_transaction
                )
                self._tell(Answered(self._pending.popleft().answer, self._transaction))
                return
            self._write_group()
        self._release()

    def _acquire(self) -> bool:
        if self._pending and not self._has_lock:
            self._has_lock = self._lock.try_acquire()
            if not self._has_lock:
                self._waits_for_lock = True
                self._lock.wait(lambda: self._queue.put(_LockAcquired()))
        return self._has_lock

    def _begin(self) -> bool:
        """Begin to write after all that is committed; if that fails, so does what waits."""
        try:
            self._file.begin()
            self._catch_up()
        except Exception as error:
            self._file.roll_back()
            self._fail_pending(self._explained(error))
            return False
        return True

    def _write_group(self) -> None:
        """Do the waiting writes up to the next transaction, and commit them together."""
        group: list[Write] = []
        while self._pending and len(group) < MAX_GROUP:
            if not isinstance(write := self._pending[0], Write):
                break
            group.append(write)
            self._pending.popleft()
        error = self._commit_group(group)
        if error is None:
            return
        for write in group:
            if len(group) > 1:
                error = self._begin_again() or self._commit_group([write])
            if error is not None:
                self._tell(Answered(write.answer, None, error))

    def _begin_again(self) -> Exception | None:
        try:
            self._file.begin()
        except Exception as error:
            return self._explained(error)
        return None

    def _commit_group(self, group: Sequence[Write]) -> Exception | None:
        """Do writes and commit; on an error of the store nothing of it was done."""
        workspace = Workspace(self._database)
        answers = [self._outcome(write.answer, partial(write.work, workspace)) for write in group]
        try:
            self._commit(workspace)
        except Exception as error:
            self._file.roll_back()
            return self._explained(error)
        self._outcomes += answers
        return None

    def _commit(self, workspace: Workspace) -> None:
        if not workspace.entries:
            self._file.roll_back()
            return
        self._file.append(workspace.entries, self._database.position)
        self._file.commit()
        self._apply(workspace.entries)
        self._wakes_others = True

    def _commit_transaction(self, transaction: OpenTransaction, commits: bool) -> int | None:
        if not commits:
            return None
        transaction.check()
        self._commit(transaction.workspace)
        return self._database.position if transaction.workspace.entries else None

    def _end_transaction(self) -> None:
        """Drop what was not committed, and let others write."""
        self._transaction = None
        self._file.roll_back()
        self._release()

    def _release(self) -> None:
        self._lock.release()
        self._has_lock = False
        if self._wakes_others and self.wake_up:
            self.wake_up.wake_others()
        self._wakes_others = False

    def _close(self) -> None:
        self._is_running = False
        if self._transaction:
            self._transaction.end()
        while self._pending and not self._waits_for_lock:
            self._write_pending()
            if self._transaction:
                self._transaction.end()
        self._fail_pending(StateError("The store was closed before this was written."))

    def _fail_pending(self, error: Exception) -> None:
        for request in self._pending:
            self._tell(Answered(request.answer, None, error))
        self._pending.clear()

    def _attempt(self, answer: Answer, work: Callable[[], Any]) -> None:
        self._tell(self._outcome(answer, work))

    def _tell(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def _post(self) -> None:
        """Hand the outcomes to the event loop."""
        if not self._outcomes:
            return
        outcomes, self._outcomes = self._outcomes, []
        try:
            self._loop.call_soon_threadsafe(self._deliver, outcomes)
        except RuntimeError:
            # The loop was closed and the store was not: nobody is left to ask for anything.
            self._is_running = False

    def _outcome(self, answer: Answer, work: Callable[[], Any]) -> Answered:
        try:
            return Answered(answer, work())
        except Exception as error:
            return Answered(answer, None, self._explained(error))

    def _explained(self, error: Exception) -> Exception:
        """Return what the caller is told instead of an error of SQLite."""
        if not isinstance(error, sqlite3.Error | DamagedRow):
            return error
        failure = storage_failure(self._path, error)
        failure.__cause__ = error
        return failure

"""The audit file: records as JSON lines that are on the disk before anybody goes on.

Records that arrive while the disk is busy are written together: one write and one fsync for all
of them. A line that a crash or a full disk cut short stays where it is, and the next record
begins on a new line; nothing in the file is ever changed. One process writes to one file.
"""

import asyncio
import fcntl
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.audit.sink import AuditRecord

__all__ = ["FileAuditSink"]

_OPTION = "The audit file"


class FileAuditSink:
    """Keeps records in a file that is only ever appended to."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, readable for its owner only.

        Args:
            path: Where; its folder exists.

        Raises:
            ConfigurationError: If it cannot be written, others may read or change it, or another
                process writes to it.
        """
        self._descriptor = _open(path)
        self._needs_newline = _is_cut_short(self._descriptor)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False
        self._failure: OSError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bolide-audit")

    async def record(self, record: AuditRecord) -> None:
        """Keep a record; returns when it is on the disk.

        Args:
            record: It may be written even if the caller is cancelled.

        Raises:
            OSError: If it could not be kept.
            StateError: If the sink is closed.
        """
        if self._is_closed:
            raise StateError("The audit file is closed.")
        line = json.dumps(asdict(record), separators=(",", ":")).encode("ascii") + b"\n"
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        await kept

    async def close(self) -> None:
        """Close the file after the records that were handed in; harmless if it is closed."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()
        os.close(self._descriptor)

    async def _write_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            lines = b"".join([line for line, _ in batch])
            failure: OSError | None = None
            try:
                await loop.run_in_executor(self._thread, self._append, lines)
            except OSError as error:
                failure = error
            for _, kept in batch:
                if kept.done():  # its caller was cancelled
                    continue
                if failure is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(failure)
        self._writing = None

    def _append(self, lines: bytes) -> None:
        """Write in the thread, and wait for the disk."""
        if self._failure is not None:
            raise self._failure
        rest = memoryview(b"\n" + lines if self._needs_newline else lines)
        while rest:
            written = os.write(self._descriptor, rest)
            self._needs_newline = rest[written - 1] != ord("\n")
            rest = rest[written:]
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            # What the disk did not take may be gone from memory, too: a second fsync that succeeds
            # would prove nothing.
            self._failure = error
            raise


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise ConfigurationError(_OPTION, str(path), "a file that can be written") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(_OPTION, str(path), "a regular file")
        if status.st_mode & 0o077:
            expected = "readable and writable for its owner only: chmod 600"
            raise ConfigurationError(_OPTION, str(path), expected)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            expected = "the file of one process: another one writes to it"
            raise ConfigurationError(_OPTION, str(path), expected) from error
        # The file's name is on the disk only after its folder is.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_cut_short(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

"""One worker, as its supervisor sees it: a process, and a socket pair to it."""

import asyncio
import logging
import os
import socket
import subprocess
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Final, assert_never

import msgspec

from bolide.balancer.worker.messages import (
    MAX_LINE_BYTES,
    Configure,
    Configured,
    Counted,
    FromSupervisor,
    FromWorker,
    Noticed,
    Seen,
)

__all__ = ["ENDED", "WorkerProcess"]

ENDED: Final = "it ended before it answered"

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[FromWorker]] = msgspec.json.Decoder(FromWorker)

_logger = logging.getLogger("bolide.balancer")


class WorkerProcess:
    """A running worker; made by :meth:`start`.

    Attributes:
        counted: What it counted last.
        seen_version: The view that it goes by.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Keep both ends, and watch for the end of the process."""
        self.counted = Counted(counts={}, open_by_node={})
        self._process = process
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[str]] = {}
        self.seen_version = 0
        self._has_seen = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._end = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._end, self._take_end)

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], listeners: Collection[int]
    ) -> "WorkerProcess":
        """Start a process that inherits listening sockets.

        asyncio's subprocesses are not used: one whose start is cancelled may stay unnoticed.

        Args:
            command: Program and arguments; the number of its end of the pair is added.
            environment: Of the process.
            listeners: Numbers of the sockets, which are the same in the process.

        Raises:
            OSError: If there can be no process or no pair.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
            try:
                process = subprocess.Popen(  # noqa: ASYNC220  (a fork takes no time)
                    [*command, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(), *listeners),
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    # A terminal's signals are the supervisor's matter.
                    start_new_session=True,
                )
            except BaseException:
                writer.close()
                raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def tell(self, message: FromSupervisor) -> None:
        """Tell it something; what a worker does not read is lost with it."""
        if self._writer.transport.get_write_buffer_size() > 2 * MAX_LINE_BYTES:
            self.kill()
        elif not self._writer.is_closing():
            self._writer.write(_encode(message) + b"\n")

    def configure(self, configuration: Configure) -> asyncio.Future[str]:
        """Tell it how to work.

        Returns:
            Why it does not, empty if it does; :data:`ENDED` if it ends before it answers.
        """
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[configuration.version] = answer
        self.tell(configuration)
        return answer

    async def sees(self, version: int) -> None:
        """Wait until it goes by a view, or has ended."""
        while self.seen_version < version and not self._has_ended.is_set():
            self._has_seen.clear()
            await self._has_seen.wait()

    async def noticed(self) -> AsyncGenerator[Noticed]:
        """Yield what it notices, until it ends; answers and counts are kept on the way."""
        try:
            async for line in self._reader:
                message = _decoder.decode(line)
                match message:
                    case Configured():
                        self._take_answer(message)
                    case Seen():
                        self.seen_version = message.version
                        self._has_seen.set()
                    case Counted():
                        self.counted = message
                    case Noticed():
                        yield message
                    case _:
                        assert_never(message)
        except OSError:  # it ended before it read all that it was told
            self.kill()
        except ValueError as error:  # too long a line, or not a message
            _logger.error("worker %d cannot be understood: %s", self.pid, type(error).__name__)
            self.kill()
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(ENDED)

    def _take_answer(self, configured: Configured) -> None:
        answer = self._answers.pop(configured.version, None)
        if answer is not None and not answer.done():
            answer.set_result(configured.problem)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()  # does nothing once it has ended

    async def wait(self) -> int:
        """Wait until the process has ended, and let go of the pair; returns its exit status."""
        await self._has_ended.wait()
        self._writer.close()
        return self._process.wait()

    def _take_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._end)
        os.close(self._end)
        self._process.wait()
        self._has_ended.set()
        self._has_seen.set()

"""What goes over the loopback interface, as tshark sees it."""

import asyncio
import os
import shutil
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest

__all__ = ["Capture", "Hop", "capturing", "report"]

_TIMEOUT_S: Final = 60 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
_RECORDS: Final = tuple(bytes([kind, 3]) for kind in range(20, 24))
"""How TLS begins: the kinds of records there are, then the version."""


@dataclass(frozen=True)
class Hop:
    """What was said on all connections to some servers.

    Attributes:
        streams: One for each connection and direction, in order.
    """

    streams: list[bytes]

    @property
    def size(self) -> int:
        """All bytes, TLS included."""
        return sum(map(len, self.streams))

    @property
    def is_tls(self) -> bool:
        """Whether every connection began with a record of TLS, or went on with one."""
        return all(stream.startswith(_RECORDS) for stream in self.streams)

    def found(self, words: Iterable[str]) -> set[str]:
        """Return those words that somebody on the line could read."""
        return {word for word in words if any(map(_appears(word), self.streams))}


@dataclass
class Capture:
    """What was captured.

    Attributes:
        file: Where tshark writes it.
    """

    file: Path
    _segments: dict[tuple[str, int, int], dict[int, bytes]] = field(
        default_factory=lambda: defaultdict[tuple[str, int, int], dict[int, bytes]](dict)
    )

    def hop(self, ports: Iterable[int]) -> Hop:
        """Return what was said on connections to these ports, in both directions."""
        servers = set(ports)
        return Hop(
            [
                b"".join(data for _, data in sorted(segments.items()))
                for (_, source, target), segments in self._segments.items()
                if source in servers or target in servers
            ]
        )

    def ports(self) -> set[int]:
        """Return all ports that anything was sent to."""
        return {target for _, _, target in self._segments}

    async def read(self) -> Self:
        """Read the file; what was sent twice is taken once."""
        names = ("tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.payload")
        fields = [word for name in names for word in ("-e", name)]
        process = await asyncio.create_subprocess_exec(
            "tshark", "-r", str(self.file), "-T", "fields", "-Y", "tcp.len > 0", *fields,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        for line in output.decode().splitlines():
            stream, source, target, number, payload = line.split("\t")
            self._segments[stream, int(source), int(target)][int(number)] = bytes.fromhex(payload)
        return self


@asynccontextmanager
async def capturing(folder: Path) -> AsyncGenerator[Capture]:
    """Capture all TCP on the loopback interface for the time of the block; then it can be read."""
    if shutil.which("tshark") is None or os.geteuid() != 0:
        missing = "only root captures, with tshark (Debian: apt-get install tshark)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    capture = Capture(folder / "loopback.pcapng")
    capture.file.touch()
    process = await asyncio.create_subprocess_exec(
        "tshark", "-q", "-i", "lo", "-f", "tcp", "-B", "64", "-w", str(capture.file),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # It tells nobody when it begins, nor what it has written.
        await _until_captured(capture.file, b"a capture begins")
        yield capture
        await _until_captured(capture.file, b"a capture ends")
    finally:
        process.terminate()
        await process.wait()
    await capture.read()


async def _until_captured(file: Path, mark: bytes) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while mark not in file.read_bytes():  # noqa: ASYNC240
            _say(mark)
            await asyncio.sleep(0.05)


def _say(mark: bytes) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as speaker,
        listener.accept()[0] as hearer,
    ):
        speaker.sendall(mark)
        hearer.recv(len(mark))


class _appears:
    """Whether a word is in a stream, as one of the ways in which it may be written."""

    def __init__(self, word: str) -> None:
        escaped = word.encode("ascii", "backslashreplace")
        self._ways = {word.encode(), escaped, word.encode("utf-16-le"), word.encode("latin-1")}

    def __call__(self, stream: bytes) -> bool:
        return any(way in stream for way in self._ways)


def report(hops: Mapping[str, Hop]) -> str:
    """Return a line for the evidence: bytes by hop."""
    return ", ".join(f"{name} {hop.size:,} B" for name, hop in hops.items())

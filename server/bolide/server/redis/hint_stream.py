"""Hints of other programs, from a stream in Redis to the live queries of this node.

A hint says that a document was written by somebody whom the store's feed does not tell of soon
enough. It changes nothing by itself: queries that are polled are read again. So whoever may write
to the stream can cost a node readings, within ``max_hints_per_s``, and cannot change what anybody
sees.

Theory of operation. The stream is read from the id that was read last. Whenever entries may have
been missed (a new connection, a stream that began anew, an answer that was too large, more hints
than a node takes in a second), every polled query is hinted at once and reading goes on at the
stream's end: one reading of everything instead of one for each hint.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog

from bolide.server.clock import Clock, sleep
from bolide.server.redis.connection import COMMAND_TIMEOUT_S, Argument, RedisConnection
from bolide.server.redis.discovery import Server
from bolide.server.redis.errors import CommandRefused, ReplyTooLarge
from bolide.server.redis.hint_entries import MAX_ENTRY_BYTES, BadEntry, Hint, read_entry
from bolide.server.telemetry.metrics import Metrics

__all__ = ["MAX_STREAM_ENTRIES", "HintReader", "Hinted", "publish_hints"]

MAX_STREAM_ENTRIES: Final = 10_000
"""About how many entries the stream keeps; older ones are for nobody."""

_BATCH: Final = 100
_WAIT_S: Final = 2.0
"""How long Redis waits for an entry before it answers that there is none, seconds."""
_TRIM_EVERY_S: Final = 60.0
_TELL_EVERY_S: Final = 60.0
# The reply's own parts, and entries that are malformed and small.
_MAX_REPLY_BYTES: Final = _BATCH * (MAX_ENTRY_BYTES + 1_024)
_BEGINNING: Final = b"0-0"
# XINFO tells the first and the last entry as well, which may be too large to be read.
_END_OF_STREAM: Final = """
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return info[i + 1] end
end
return '0-0'
"""
_OUTCOMES: Final = ("malformed", "too large", "undeclared", "skipped")


class Hinted(Protocol):
    """Who is told of hints; the live queries."""

    def __call__(self, collection: str, id: object = None) -> None:
        """Take one: ``id`` is None if it may be any document."""
        ...


class HintReader:
    """Reads the stream.

    Args:
        stream: Its name.
        hinted: Who is told.
        declared: Tells the names of the app's collections.
        max_per_s: Most entries that are read in a second.
        clock: The time.
        metrics: Where hints are counted.

    Attributes:
        counts: Outcome -> number; ``taken``, ``malformed``, ``too large``, ``undeclared``, and
            how often there were too many (``skipped``).
    """

    def __init__(
        self,
        stream: str,
        hinted: Hinted,
        declared: Callable[[], Iterable[str]],
        *,
        max_per_s: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Begin where the stream ends when Redis is there for the first time."""
        self.counts: dict[str, int] = dict.fromkeys(("taken", *_OUTCOMES), 0)
        self._stream = stream
        self._hinted = hinted
        self._declared = declared
        self._max_per_s = max_per_s
        self._clock = clock
        self._metrics = metrics
        self._last_id: bytes | None = None
        self._second_ends = 0.0
        self._room = max_per_s
        self._trim_at = 0.0
        self._told_at: float | None = None
        self._told = dict(self.counts)
        self._log = structlog.get_logger("bolide.redis")

    async def serve(self, server: Server) -> None:
        """Read the stream until cancelled.

        Raises:
            RedisAway: If the connection is lost.
        """
        while True:
            connection = await server.connect(max_reply_bytes=_MAX_REPLY_BYTES)
            try:
                await self._begin(connection)
                while True:
                    await self._read(connection)
            except ReplyTooLarge:
                self._count("too large")
                self._last_id = None
            except CommandRefused as error:
                if error.word != "WRONGTYPE":
                    raise
                self._count("malformed")  # the key holds no stream
                self._tell()
            finally:
                await connection.close()
            # Whoever does that again costs a node one of them in a second.
            await sleep(self._clock, 1.0)

    async def _begin(self, connection: RedisConnection) -> None:
        """Go on after the entry that was read last, or at the end of the stream."""
        if self._last_id is None:
            self._last_id = await self._end_of_stream(connection)
        self._hint_everything()

    async def _read(self, connection: RedisConnection) -> None:
        """Read what is there, or wait for it a moment."""
        assert self._last_id is not None
        now = self._clock.now()
        if now >= self._second_ends:
            self._second_ends = now + 1.0
            self._room = self._max_per_s
        if self._room == 0:
            await sleep(self._clock, self._second_ends - now)
            self._last_id = await self._end_of_stream(connection)
            self._count("skipped")
            self._hint_everything()
            return
        answer = await connection.command(
            "XREAD", "COUNT", min(_BATCH, self._room), "BLOCK", int(_WAIT_S * 1000),
            "STREAMS", self._stream, self._last_id,
            timeout_s=_WAIT_S + COMMAND_TIMEOUT_S,
        )  # fmt: skip
        if answer is None:
            await self._look_for_new_stream(connection)
            return
        await self._trim(connection)
        ((_, entries),) = answer
        self._room -= len(entries)
        self._last_id = entries[-1][0]
        self._take([fields or () for _, fields in entries])

    def _take(self, entries: Iterable[Sequence[bytes]]) -> None:
        """Tell of the hints that are good, each once, and count the others."""
        declared = frozenset(self._declared())
        hints: dict[tuple[bytes, ...], Hint] = {}
        for fields in entries:
            try:
                hint = read_entry(fields)
            except BadEntry as error:
                self._count(error.outcome)
                continue
            # A pipeline may look into collections that the app does not have.
            self._count("taken" if hint.collection in declared else "undeclared")
            hints[tuple(fields)] = hint
        for hint in hints.values():
            self._hinted(hint.collection, hint.id)
        self._tell()

    def _hint_everything(self) -> None:
        for collection in self._declared():
            self._hinted(collection)
        self._tell()

    async def _end_of_stream(self, connection: RedisConnection) -> bytes:
        """Return the highest id that was ever given."""
        end: bytes = await connection.command("EVAL", _END_OF_STREAM, 1, self._stream)
        return end

    async def _look_for_new_stream(self, connection: RedisConnection) -> None:
        """Begin at the beginning if the stream was removed: its ids may begin anew, too."""
        assert self._last_id is not None
        if _number(await self._end_of_stream(connection)) < _number(self._last_id):
            self._last_id = _BEGINNING
            self._hint_everything()

    async def _trim(self, connection: RedisConnection) -> None:
        """Now and then remove what is old: writers may have forgotten to."""
        if self._clock.now() < self._trim_at:
            return
        self._trim_at = self._clock.now() + _TRIM_EVERY_S
        await connection.command("XTRIM", self._stream, "MAXLEN", "~", MAX_STREAM_ENTRIES)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._metrics.redis_hints.labels(outcome).inc()

    def _tell(self) -> None:
        """Log what helps nobody, in one line a minute, and without what was in it."""
        now = self._clock.now()
        new = {name: self.counts[name] - self._told[name] for name in _OUTCOMES}
        if not any(new.values()) or (self._told_at is not None and now < self._told_at):
            return
        self._told_at = now + _TELL_EVERY_S
        self._told = dict(self.counts)
        self._log.warning(
            "hints of other programs were of no use",
            **{name.replace(" ", "_"): number for name, number in new.items() if number},
        )


async def publish_hints(
    connection: RedisConnection, stream: str, entries: Sequence[tuple[str, ...]]
) -> None:
    """Write entries to the stream.

    Args:
        connection: To the server that holds the stream.
        stream: Its name.
        entries: As :func:`~bolide.server.redis.hint_entries.entry_fields` makes them.

    Raises:
        RedisAway: If not all were written for certain.
    """
    for start in range(0, len(entries), _BATCH):
        command: list[Argument] = ["XADD", stream, "MAXLEN", "~", MAX_STREAM_ENTRIES, "*"]
        batch = entries[start : start + _BATCH]
        await connection.commands(*((*command, *fields) for fields in batch))


def _number(id: bytes) -> tuple[int, int]:
    milliseconds, _, number = id.partition(b"-")
    return int(milliseconds), int(number)

"""The stream of hints: good ones are told, all others counted, and none brings a node down."""

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.integration.redis.conftest import STREAM, Links, until_link
from tests.redis_server import RedisCluster, RedisServer, tell

from bolide.server.clock import SystemClock
from bolide.server.redis import hint_stream
from bolide.server.redis.errors import RedisFull
from bolide.server.redis.hint_entries import Hint, entry_fields
from bolide.server.redis.hint_stream import HintReader, publish_hints
from bolide.server.redis.link import RedisLink

EVERYTHING = ("patients", None)


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def __call__(self, collection: str, id: object = None) -> None:
        self.told.put_nowait((collection, id))

    async def next(self) -> tuple[str, object]:
        async with asyncio.timeout(10):
            return await self.told.get()


class Reading:
    """A reader on a link that is open."""

    def __init__(self, links: Links, url: str, max_per_s: int = 1_000) -> None:
        self.listener = Listener()
        self.reader = HintReader(
            STREAM,
            self.listener,
            lambda: ["patients"],
            max_per_s=max_per_s,
            clock=SystemClock(),
            metrics=links.metrics,
        )
        self.link: RedisLink = links(url)
        self.link.add(self.reader)

    async def begin(self) -> None:
        await self.link.open()
        # Nobody knows what was missed before.
        assert await self.listener.next() == EVERYTHING


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hint_stream, "_WAIT_S", 0.02)


def add(server: RedisServer, *fields: str | bytes, id: str = "*") -> None:
    tell(server, "XADD", STREAM, id, *fields)


def add_at_once(server: RedisServer, entries: Sequence[tuple[str, ...]]) -> None:
    """Add entries between which nobody reads."""
    add_all = "for i = 1, #ARGV, 4 do redis.call('XADD', KEYS[1], '*', unpack(ARGV, i, i + 3)) end"
    tell(server, "EVAL", add_all, 1, STREAM, *(field for entry in entries for field in entry))


async def test_a_hint_is_told(new_link: Links, redis_server: RedisServer) -> None:
    add(redis_server, "collection", "patients", "id", '"before"')
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    add(redis_server, "collection", "patients", "id", '"p01"')
    assert await reading.listener.next() == ("patients", "p01")
    assert reading.reader.counts["taken"] == 1
    assert b'bolide_redis_hints_total{outcome="taken"} 1.0' in new_link.metrics.exposition()


async def test_what_is_published_is_read_by_every_node(
    new_link: Links, redis_server: RedisServer
) -> None:
    readings = [Reading(new_link, redis_server.url) for _ in range(2)]
    for reading in readings:
        await reading.begin()
    link = readings[0].link
    assert link.server is not None
    connection = await link.server.connect()
    ids = [f"p{number}" for number in range(150)]
    await publish_hints(connection, STREAM, [entry_fields(Hint("patients", id)) for id in ids])
    for reading in readings:
        assert [(await reading.listener.next())[1] for _ in ids] == ids
    redis_server.fill()
    with pytest.raises(RedisFull):
        await publish_hints(connection, STREAM, [entry_fields(Hint("patients", "p"))])
    await connection.close()


async def test_what_is_no_hint_is_counted_and_told_once_without_its_values(
    new_link: Links, redis_server: RedisServer
) -> None:
    reading = Reading(new_link, redis_server.url)
    with capture_logs() as logs:
        await reading.begin()
        for fields in (
            ("collection", "patients", "id", '"x"', "name", "Ada Lovelace"),
            ("collection", "patients", "id", "Ada"),
            ("collection", "visitors", "id", '"Ada"'),
            ("collection", "patients", "id", f'"{"Ada" * 3000}"'),
        ):
            add(redis_server, *fields)
        add(redis_server, "collection", "patients", "id", '"p01"')
        # A pipeline may look into other collections.
        assert await reading.listener.next() == ("visitors", "Ada")
        assert await reading.listener.next() == ("patients", "p01")
    counts = reading.reader.counts
    assert counts == {
        "taken": 1, "malformed": 2, "too large": 1, "undeclared": 1, "skipped": 0
    }  # fmt: skip
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert "Ada" not in str(logs)


async def test_equal_hints_are_told_once(new_link: Links, redis_server: RedisServer) -> None:
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    entry = ("collection", "patients", "id", '"p01"')
    add_at_once(redis_server, [entry] * 50)
    add(redis_server, "collection", "patients", "id", '"p02"')
    assert await reading.listener.next() == ("patients", "p01")
    assert await reading.listener.next() == ("patients", "p02")
    assert reading.reader.counts["taken"] == 51


async def test_more_than_a_node_takes_is_one_reading_of_everything(
    new_link: Links, redis_server: RedisServer
) -> None:
    reading = Reading(new_link, redis_server.url, max_per_s=5)
    await reading.begin()
    add_at_once(
        redis_server, [("collection", "patients", "id", str(number)) for number in range(1_000)]
    )
    assert [await reading.listener.next() for _ in range(5)] == [
        ("patients", number) for number in range(5)
    ]
    assert await reading.listener.next() == EVERYTHING
    assert reading.reader.counts["skipped"] == 1
    add(redis_server, "collection", "patients", "id", '"after"')
    assert await reading.listener.next() == ("patients", "after")


async def test_an_entry_that_is_too_large_for_memory_is_not_read(
    new_link: Links, redis_server: RedisServer
) -> None:
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    add(redis_server, "collection", "patients", "id", b'"' + b"x" * 2_000_000 + b'"')
    assert await reading.listener.next() == EVERYTHING
    assert reading.reader.counts["too large"] == 1
    add(redis_server, "collection", "patients", "id", '"p01"')
    assert await reading.listener.next() == ("patients", "p01")
    assert reading.link.state.is_connected


async def test_reading_goes_on_where_it_was_after_redis_was_away(
    new_link: Links, redis_server: RedisServer
) -> None:
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    add(redis_server, "collection", "patients", "id", '"p01"')
    assert await reading.listener.next() == ("patients", "p01")
    redis_server.freeze()
    await until_link(reading.link, lambda state: not state.is_connected)
    redis_server.thaw()
    add(redis_server, "collection", "patients", "id", '"p02"')
    assert await reading.listener.next() == EVERYTHING
    assert await reading.listener.next() == ("patients", "p02")


@pytest.mark.usefixtures("quick")
async def test_a_stream_that_begins_anew_is_read_from_its_beginning(
    new_link: Links, redis_server: RedisServer
) -> None:
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    # Nobody can write behind the highest id there is: the stream has to be removed.
    add(redis_server, "collection", "patients", "id", '"p01"', id=f"{2**64 - 1}-{2**64 - 1}")
    assert await reading.listener.next() == ("patients", "p01")
    tell(redis_server, "DEL", STREAM)
    assert await reading.listener.next() == EVERYTHING
    add(redis_server, "collection", "patients", "id", '"p02"')
    assert await reading.listener.next() == ("patients", "p02")


async def test_another_thing_in_the_streams_place_does_no_harm(
    new_link: Links, redis_server: RedisServer
) -> None:
    tell(redis_server, "SET", STREAM, "a text")
    reading = Reading(new_link, redis_server.url)
    with capture_logs() as logs:
        await reading.begin()
        assert await reading.listener.next() == EVERYTHING  # tried again
    assert reading.reader.counts["malformed"] >= 1
    assert reading.link.state.is_connected
    tell(redis_server, "DEL", STREAM)
    add(redis_server, "collection", "patients", "id", '"p01"')
    told: Sequence[object] = ()
    while told != ("patients", "p01"):
        told = await reading.listener.next()
    assert len([line for line in logs if line["log_level"] == "warning"]) == 1


async def test_the_stream_is_trimmed_for_those_who_forget_to(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_stream, "MAX_STREAM_ENTRIES", 100)
    add_at_once(
        redis_server, [("collection", "patients", "id", str(number)) for number in range(1_000)]
    )
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    add(redis_server, "collection", "patients", "id", '"p01"')
    assert await reading.listener.next() == ("patients", "p01")
    assert tell(redis_server, "XLEN", STREAM) < 300


async def test_a_user_without_rights_on_the_stream_is_told(
    new_link: Links, redis_server: RedisServer
) -> None:
    tell(redis_server, "ACL", "SETUSER", "app", "on", ">pw", "~*", "+info", "+client|setname")
    reading = Reading(new_link, f"redis://app:pw@127.0.0.1:{redis_server.port}")
    await reading.link.open()
    state = await until_link(reading.link, lambda state: not state.is_connected)
    assert "may run the commands that docs/topics/redis.md lists" in state.because


async def test_the_stream_is_followed_to_another_server_of_its_cluster(new_link: Links) -> None:
    with RedisCluster() as cluster:
        reading = Reading(new_link, cluster.url)
        await reading.begin()
        cluster.move(STREAM)
        assert await reading.listener.next() == EVERYTHING
        add(cluster.owner_of(STREAM), "collection", "patients", "id", '"p01"')
        told: object = EVERYTHING
        while told == EVERYTHING:
            told = await reading.listener.next()
        assert told == ("patients", "p01")
        await reading.link.close()


async def test_the_documented_lines_of_foreign_writers_are_hints(
    new_link: Links, redis_server: RedisServer
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "topics" / "redis.md").read_text()
    reading = Reading(new_link, redis_server.url)
    await reading.begin()
    (line,) = re.findall(r"^    (redis-cli XADD .*)$", page, re.MULTILINE)
    words = shlex.split(line)
    program = [words[0], "-p", str(redis_server.port), *words[1:]]
    await asyncio.to_thread(subprocess.run, program, check=True, stdout=subprocess.DEVNULL)
    assert await reading.listener.next() == ("patients", "p01")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    with redis_server.client() as client:
        exec(code, {"redis": client, "json": json})
    assert await reading.listener.next() == ("patients", "p01")
    assert reading.reader.counts["taken"] == 2

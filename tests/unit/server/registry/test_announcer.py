from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.cluster_certificates import CertificateAuthority

from bolide.core.values import Document
from bolide.server.registry.announcement import Announcement
from bolide.server.registry.announcer import ANNOUNCE_EVERY_S, LASTS_S, Announcer
from bolide.server.registry.signer import Signer
from bolide.server.stores.base import Insert, Query, Receipt, WriteOperation
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import NODES
from bolide.server.testing import FakeClock

_DAY_MS = 86_400_000


class Troubled(MemoryStore):
    """A store that refuses to write when the test says so."""

    is_away = False

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        if self.is_away:
            raise OSError("a marked text")
        return await super().write(operation, first=first)


class Setting:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(1_000_000.0)
        self.store = Troubled(clock=self.clock)
        own = CertificateAuthority(folder).issue("bolide://ward/node/n1")
        self.signer = Signer.read(own.chain, own.key)

    def announcer(self) -> Announcer:
        return Announcer(
            self.store,
            self.clock,
            self.signer,
            address="10.0.0.11:3000",
            management="",
            weight=2.0,
        )

    async def documents(self) -> Sequence[Document]:
        return (await self.store.read(Query(collection=NODES))).documents

    async def said(self) -> Announcement:
        [document] = await self.documents()
        return msgspec.json.decode(document["payload"], type=Announcement)


@pytest.fixture
async def setting(tmp_path: Path) -> Setting:
    setting = Setting(tmp_path)
    await setting.store.open()
    return setting


async def test_a_node_says_where_it_is_again_and_again_and_then_goodbye(setting: Setting) -> None:
    boot = setting.clock.wall_ms()
    async with setting.announcer().announcing():
        await setting.clock.advance(0)
        assert await setting.said() == Announcement(
            cluster="ward",
            node="n1",
            address="10.0.0.11:3000",
            management="",
            weight=2.0,
            boot=boot,
            seq=1,
            exp=boot + int(LASTS_S * 1000),
        )
        await setting.clock.advance(ANNOUNCE_EVERY_S)
        said = await setting.said()
        assert (said.boot, said.seq) == (boot, 2)
        assert said.exp == setting.clock.wall_ms() + int(LASTS_S * 1000)
    said = await setting.said()
    assert (said.boot, said.seq, said.exp) == (boot, 3, 0)
    await setting.clock.advance(10 * ANNOUNCE_EVERY_S)
    assert (await setting.said()).seq == 3


async def test_another_process_of_the_node_began_later(setting: Setting) -> None:
    async with setting.announcer().announcing():
        await setting.clock.advance(0)
        first = await setting.said()
    await setting.clock.advance(1)
    async with setting.announcer().announcing():
        await setting.clock.advance(0)
        assert (await setting.said()).boot == first.boot + 1000


async def test_a_store_that_is_away_is_told_once_and_written_to_when_it_is_back(
    setting: Setting,
) -> None:
    async with setting.announcer().announcing():
        await setting.clock.advance(0)
        setting.store.is_away = True
        with capture_logs() as told:
            await setting.clock.advance(3 * ANNOUNCE_EVERY_S)
        assert [entry["log_level"] for entry in told] == ["warning"]
        assert "marked" not in str(told)
        setting.store.is_away = False
        await setting.clock.advance(ANNOUNCE_EVERY_S)
        assert (await setting.said()).seq == 5


async def test_what_others_said_long_ago_is_forgotten(setting: Setting) -> None:
    now = setting.clock.wall_ms()
    for name, exp in (("ward/old", now - _DAY_MS - 1), ("ward/new", now - _DAY_MS + 1)):
        await setting.store.write(Insert(collection=NODES, documents=[{"_id": name, "exp": exp}]))
    async with setting.announcer().announcing():
        await setting.clock.advance(0)
        found = [document["_id"] for document in await setting.documents()]
    assert sorted(found) == ["ward/n1", "ward/new"]

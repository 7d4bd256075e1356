"""Which way between nodes a node takes."""

from pathlib import Path

from bolide.server.broadcast.choice import make_broadcast
from bolide.server.settings import Settings
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import FakeClock


def test_a_store_in_memory_has_one_node_and_any_other_may_have_more(tmp_path: Path) -> None:
    clock, settings = FakeClock(), Settings()
    assert make_broadcast(MemoryStore(), clock, settings).path == "in process"
    assert make_broadcast(SQLiteStore(tmp_path / "a.db"), clock, settings).path == "store"

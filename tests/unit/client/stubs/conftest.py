"""A bench for stubs: two local collections, and a simulation over them."""

from typing import Any

import pytest

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.stubs.simulation import Simulation
from bolide.client.stubs.workspace import Workspace

SEED = "ab" * 10


class Bench:
    """Two local collections, and a simulation over them."""

    def __init__(self, *, max_operations: int = 100, stubs: Any = None) -> None:
        self.collections = {name: LocalCollection(name) for name in "pq"}
        self.workspace = Workspace(
            self.collections.__getitem__, max_operations=max_operations, now_ms=1_000
        )
        self.sim = Simulation(self.workspace, stubs or {}, SEED)
        for document_id, n in (("c", 1), ("a", 3), ("b", 2)):
            self.collections["p"].put(document_id, {"_id": document_id, "n": n})

    def writes(self) -> dict[Any, Any]:
        return {write.document_id: write.document for write in self.workspace.writes()}


@pytest.fixture
def bench() -> Bench:
    return Bench()

"""A worker and nodes, with certificates of one authority."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.certificates import Authority
from tests.integration.balancer.scripted_node import ScriptedNode
from tests.integration.balancer.worker_process import WorkerProcess

StartWorker: TypeAlias = Callable[..., WorkerProcess]
StartNode: TypeAlias = Callable[..., ScriptedNode]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start_worker(authority: Authority, stack: ExitStack, tmp_path: Path) -> StartWorker:
    def start(**configuration: Any) -> WorkerProcess:
        return stack.enter_context(WorkerProcess(authority, **configuration))

    return start


@pytest.fixture
def start_node(authority: Authority, stack: ExitStack) -> StartNode:
    def start(name: str = "north", **options: Any) -> ScriptedNode:
        return stack.enter_context(ScriptedNode(authority, name, **options))

    return start


@pytest.fixture
def node(start_node: StartNode) -> ScriptedNode:
    return start_node()


@pytest.fixture
def worker(start_worker: StartWorker, node: ScriptedNode) -> WorkerProcess:
    worker = start_worker()
    worker.see(node.node())
    return worker

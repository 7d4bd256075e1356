"""The pool of workers, with real processes."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from bolide.balancer.supervisor.worker_pool import WorkerPool
from bolide.balancer.worker.messages import Configure, ListenerKind, Node, NodeTLS, Noticed, View

ODD_WORKER = Path(__file__).with_name("odd_worker.py")
PATIENCE_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))


class Pauses:
    """Lets no time pass, and keeps how much it would have been."""

    def __init__(self, most: int = 1_000) -> None:
        self.seconds: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) >= self._most:
            await asyncio.Event().wait()


class Pooled:
    def __init__(self, pool: WorkerPool, listener: socket.socket, noticed: list[Noticed]) -> None:
        self.pool = pool
        self.noticed = noticed
        self._listener = listener

    def configuration(self, cluster: str = "good") -> Configure:
        kinds: dict[int, ListenerKind] = {self._listener.fileno(): "tls"}
        return Configure(
            version=0, cluster=cluster, listeners=kinds, certificates=(), nodes=NodeTLS()
        )

    async def configure(self, count: int, cluster: str = "good") -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            return await self.pool.configure(self.configuration(cluster), count, 1.0)

    async def ask(self) -> int:
        """Return which process answers a connection."""
        reader, writer = await asyncio.open_connection(*self._listener.getsockname())
        answer = await reader.readline()
        writer.close()
        return int(answer)


@asynccontextmanager
async def pooled(
    mode: str, pauses: Pauses | None = None, *, configure_timeout_s: float = PATIENCE_S
) -> AsyncGenerator[Pooled]:
    noticed: list[Noticed] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = WorkerPool(
            [sys.executable, str(ODD_WORKER), mode],
            os.environ,
            {listener.fileno(): "tls"},
            noticed.append,
            wait=pauses or Pauses(),
            configure_timeout_s=configure_timeout_s,
        )
        try:
            yield Pooled(pool, listener, noticed)
        finally:
            pool.kill()
            await pool.retire(0.0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what processes do, which tells nobody when it is done."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_workers_inherit_the_listening_sockets() -> None:
    async with pooled("good") as pooled_:
        assert await pooled_.configure(2) == []
        pids = pooled_.pool.pids
        assert len(pids) == pooled_.pool.ready_count == 2
        assert await pooled_.ask() in pids


async def test_what_they_count_is_one_sum_that_survives_them() -> None:
    async with pooled("good") as pooled_:
        pool = pooled_.pool
        await pooled_.configure(2)
        await until(lambda: pool.counts().get("requests_total") == 14)
        assert pool.counts()['responses_total{class="2xx"}'] == 10
        assert pool.counts()["connections_open"] == 4
        assert pool.open_by_node() == {"a": 4}
        os.kill(pool.pids[0], 9)
        await until(lambda: pool.counts()["requests_total"] == 21)
        assert pool.counts()["connections_open"] == 4
        assert pool.open_by_node() == {"a": 4}


async def test_one_that_ends_is_replaced_and_knows_the_view() -> None:
    pauses = Pauses()
    async with pooled("good", pauses) as pooled_:
        pool = pooled_.pool
        await pooled_.configure(1)
        (first,) = pool.pids
        pool.see(View(version=1, nodes=(Node(name="a", host="h", port=1),), cookie_keys=()))
        seen = Noticed("a", "refused")
        await until(lambda: pooled_.noticed.count(seen) == 1)
        os.kill(first, 9)
        await until(lambda: pooled_.noticed.count(seen) == 2 and pool.ready_count == 1)
        assert pool.pids != [first]
        assert pool.restarts == 1


async def test_it_is_known_when_all_go_by_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(version=7, nodes=(Node(name="a", host="h", port=1),), cookie_keys=())
    async with pooled("good") as pooled_:
        pool = pooled_.pool
        await pool.all_see()  # there is none
        await pooled_.configure(2)
        pool.see(view)
        await pool.all_see()
        assert pooled_.noticed.count(Noticed("a", "refused")) == 2
        pool.see(msgspec.structs.replace(view, version=8))
        os.kill(pool.pids[0], 9)
        async with asyncio.timeout(PATIENCE_S):
            await pool.all_see()
    monkeypatch.setattr("bolide.balancer.supervisor.worker_pool.SEE_TIMEOUT_S", 0.1)
    async with pooled("blind") as pooled_:
        await pooled_.configure(1)
        pooled_.pool.see(view)
        with pytest.raises(TimeoutError):
            await pooled_.pool.all_see()


async def test_one_that_ends_at_once_is_replaced_after_growing_pauses() -> None:
    pauses = Pauses(most=9)
    async with pooled("good", pauses) as pooled_:
        await pooled_.configure(1)
        for count in range(9):
            await until(lambda: pooled_.pool.ready_count == 1)
            os.kill(pooled_.pool.pids[0], 9)
            await until(lambda count=count: len(pauses.seconds) > count)  # type: ignore[misc]
    assert pauses.seconds == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_one_that_ends_before_it_works_is_a_problem() -> None:
    async with pooled("ending") as pooled_:
        assert await pooled_.configure(1) == ["it ended with status 3"]


async def test_one_that_ends_without_reading_is_not_called_garbled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pooled("deaf") as pooled_:
        assert await pooled_.configure(1) == ["it ended with status 3"]
    assert "understood" not in caplog.text


async def test_a_mistake_of_ours_while_hearing_one_leaves_no_place_empty(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(noticed: Noticed) -> None:
        monkeypatch.undo()
        raise KeyError(noticed.node)

    async with pooled("good") as pooled_:
        pool = pooled_.pool
        monkeypatch.setattr(pool, "_on_noticed", fail)
        await pooled_.configure(1)
        await until(lambda: pool.restarts == 1 and pool.ready_count == 1)
        assert "cannot be heard" in caplog.text


async def test_one_that_cannot_be_started_is_a_problem() -> None:
    async with pooled("good") as pooled_:
        pooled_.pool._command = ["/nonexistent/python"]  # pyright: ignore[reportPrivateUsage]
        (problem,) = await pooled_.configure(1)
        assert "it cannot be started" in problem
        assert pooled_.pool.pids == []


@pytest.mark.parametrize("mode", ["silent", "babbling"])
async def test_one_that_does_not_answer_is_ended(mode: str) -> None:
    async with pooled(mode, configure_timeout_s=1.0) as pooled_:
        (problem,) = await pooled_.configure(1)
        assert problem == "it ended with status -9"


async def test_a_configuration_that_is_refused_at_first_leaves_no_worker() -> None:
    async with pooled("picky") as pooled_:
        assert await pooled_.configure(2, "bad") == ["no such cluster"] * 2
        await until(lambda: not pooled_.pool.pids)


async def test_a_configuration_that_is_refused_later_changes_nothing() -> None:
    async with pooled("picky") as pooled_:
        pool = pooled_.pool
        assert await pooled_.configure(2) == []
        before = pool.pids
        assert await pooled_.configure(3, "bad") == ["no such cluster"] * 2
        assert sorted(pool.pids) == sorted(before)
        await until(lambda: len(pooled_.noticed) == 4)
        assert {noticed.node for noticed in pooled_.noticed} == {"good"}


async def test_more_and_fewer_workers_replace_nobody_who_stays() -> None:
    async with pooled("good") as pooled_:
        pool = pooled_.pool
        await pooled_.configure(1)
        (first,) = pool.pids
        await pooled_.configure(3)
        assert len(pool.pids) == 3
        assert first in pool.pids
        await pooled_.configure(1)
        assert pool.ready_count == 1
        await until(lambda: pool.pids == [first])
        assert pool.restarts == 0


async def test_retired_ones_tell_their_last_counts_and_are_not_replaced() -> None:
    async with pooled("good") as pooled_:
        pool = pooled_.pool
        await pooled_.configure(2)
        await pool.retire(5.0)
        assert pool.pids == []
        assert pool.counts() == {"requests_total": 200}
        assert pool.restarts == 0


async def test_one_that_does_not_retire_in_time_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bolide.balancer.supervisor.worker_place.RETIRE_GRACE_S", 0.1)
    async with pooled("stubborn") as pooled_:
        await pooled_.configure(1)
        async with asyncio.timeout(PATIENCE_S):
            await pooled_.pool.retire(0.1)
        assert pooled_.pool.pids == []
        assert "did not retire in time" in caplog.text

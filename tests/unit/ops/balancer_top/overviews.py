"""Overviews of balancers that there are not."""

from collections.abc import Mapping

from bolide.balancer.management.overview import BalancerOverview
from bolide.balancer.supervisor.cluster import NodeRow
from bolide.balancer.supervisor.worker_pool import WorkerRow
from bolide.balancer.worker.messages import NodeState

__all__ = ["make_node", "make_overview", "make_worker"]


def make_node(
    name: str = "north",
    state: NodeState = "up",
    *,
    sessions: int | None = 12,
    is_held: bool = False,
    is_ejected: bool = False,
    why: str = "",
) -> NodeRow:
    return NodeRow(
        name=name,
        address="10.0.0.11:3000",
        state=state,
        is_held=is_held,
        is_ejected=is_ejected,
        sessions=sessions,
        connections=13,
        weight=1.0,
        why=why,
        probe_failures=0,
        probe_s=None if why else 0.0021,
    )


def make_worker(pid: int = 4243, *, is_ready: bool = True) -> WorkerRow:
    return WorkerRow(pid=pid, is_ready=is_ready, connections=401, tunnels=393, accepted=12_345)


def make_overview(
    *nodes: NodeRow,
    at: float = 5.0,
    pid: int = 4242,
    workers: tuple[WorkerRow, ...] = (),
    counts: Mapping[str, float] | None = None,
    certificates: Mapping[str, float] | None = None,
    lost_sources: tuple[str, ...] = (),
    is_ready: bool = True,
    is_retiring: bool = False,
    worker_restarts: int = 0,
) -> BalancerOverview:
    return BalancerOverview(
        cluster="ward",
        version="0.1.0",
        pid=pid,
        at=at,
        uptime_s=11_520.0,
        is_ready=is_ready,
        is_retiring=is_retiring,
        workers=workers,
        worker_restarts=worker_restarts,
        nodes=nodes,
        lost_sources=lost_sources,
        reloads_refused=0,
        certificates_end_in_s=dict(certificates or {}),
        counts=dict(counts or {}),
    )

"""All that somebody who watches a balancer wants to know, at one moment."""

import os
import time
from importlib.metadata import version

import msgspec

from bolide.balancer.supervisor.cluster import NodeRow
from bolide.balancer.supervisor.supervisor import Supervisor
from bolide.balancer.supervisor.worker_pool import WorkerRow

__all__ = ["BalancerOverview", "overview_of"]


class BalancerOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A balancer.

    Attributes:
        cluster: Its name.
        version: Of Bolide.
        pid: Of the supervisor.
        at: When this was, seconds of a clock that only goes forward.
        uptime_s: Since when it runs, seconds.
        is_ready: Clients that come are taken to a node.
        is_retiring: It is about to end.
        workers: All, those that are ending included.
        worker_restarts: How many ended that should not have.
        nodes: All that are known.
        lost_sources: Sources of members that cannot be asked.
        reloads_refused: How often settings were read again and refused.
        certificates_end_in_s: Setting -> when its certificate ends, seconds from now on.
        counts: What all workers counted: metric with its labels -> number.
    """

    cluster: str
    version: str
    pid: int
    at: float
    uptime_s: float
    is_ready: bool
    is_retiring: bool
    workers: tuple[WorkerRow, ...]
    worker_restarts: int
    nodes: tuple[NodeRow, ...]
    lost_sources: tuple[str, ...]
    reloads_refused: int
    certificates_end_in_s: dict[str, float]
    counts: dict[str, float]


def overview_of(supervisor: Supervisor) -> BalancerOverview:
    """Look at a balancer now."""
    now, day = time.monotonic(), time.time()
    ends = supervisor.settings.certificate_ends
    return BalancerOverview(
        cluster=supervisor.settings.cluster,
        version=version("bolide"),
        pid=os.getpid(),
        at=now,
        uptime_s=now - supervisor.began,
        is_ready=supervisor.is_ready,
        is_retiring=supervisor.is_retiring,
        workers=tuple(supervisor.pool.rows()),
        worker_restarts=supervisor.pool.restarts,
        nodes=tuple(supervisor.rows()),
        lost_sources=tuple(sorted(supervisor.lost_sources)),
        reloads_refused=supervisor.reloads["refused"],
        certificates_end_in_s={setting: end - day for setting, end in ends.items()},
        counts=supervisor.pool.counts(),
    )

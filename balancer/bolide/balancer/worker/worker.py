"""The worker: its loop, its relay, and its supervisor's wishes."""

import logging
import socket
from typing import assert_never, cast

from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.relay import Relay
from bolide.balancer.worker.control import Control
from bolide.balancer.worker.messages import (
    Configure,
    Configured,
    Counted,
    FromSupervisor,
    Noticed,
    Retire,
    Seen,
    View,
)
from bolide.core.errors import ConfigurationError

__all__ = ["Worker"]

_COUNTS_EVERY_S = 1.0
_ORPHAN_S = 60.0
"""How long a worker lets its connections go on whose supervisor is gone."""

_logger = logging.getLogger("bolide.balancer")


class Worker:
    """One process of the data plane.

    Args:
        control: Its end of the pair to the supervisor.
    """

    def __init__(self, control: socket.socket) -> None:
        """Wait for a configuration; then listen."""
        self._loop = EventLoop()
        self._relay: Relay | None = None
        self._view: View | None = None
        # Nodes of which a failure was told, or that are on probation.
        self._doubted: set[str] = set()
        self._is_ending = False
        self._control = Control(self._loop, control, self._take, self._orphaned)

    def run(self) -> None:
        """Work until the supervisor says that it is over."""
        self._loop.call_later(_COUNTS_EVERY_S, self._tell_counts)
        self._loop.run()
        self._tell(last=True)

    def _take(self, message: FromSupervisor) -> None:
        match message:
            case Configure():
                self._control.tell(Configured(message.version, self._configure(message)))
            case View():
                self._view = message
                self._doubted |= {one.name for one in message.nodes if one.state == "probation"}
                if self._relay is not None:
                    self._relay.see(message)
                self._control.tell(Seen(message.version))
            case Retire():
                self._retire(message.within_s)
            case _:
                assert_never(message)

    def _configure(self, configuration: Configure) -> str:
        """Work as told; returns why that cannot be, empty if it can."""
        try:
            if self._relay is not None:
                self._relay.configure(configuration)
                return ""
            self._relay = relay = Relay(self._loop, configuration, self._notice)
            if self._view is not None:
                relay.see(self._view)
            relay.watchdog.start()
            relay.listen(configuration.listeners)
        except (ConfigurationError, OSError, ValueError) as error:
            return str(error)
        return ""

    def _notice(self, node: str, what: str) -> None:
        """Tell of a failure, and of an answer only if there was reason to doubt that one comes."""
        if what == "answered":
            if node not in self._doubted:
                return
            self._doubted.discard(node)
        else:
            self._doubted.add(node)
        self._control.tell(Noticed(node, cast("Noticed", what)))  # type: ignore[arg-type]

    def _retire(self, within_s: float) -> None:
        if self._relay is None:
            self._loop.stop()
        elif not self._is_ending:
            self._is_ending = True
            self._relay.retire(within_s, self._loop.stop)

    def _orphaned(self) -> None:
        """The supervisor is gone: who is here may stay for a while, nobody new is taken."""
        _logger.error("the supervisor is gone; this worker ends with its last connection")
        self._retire(_ORPHAN_S)

    def _tell_counts(self) -> None:
        self._loop.call_later(_COUNTS_EVERY_S, self._tell_counts)
        self._tell()

    def _tell(self, *, last: bool = False) -> None:
        relay = self._relay
        if relay is None:
            return
        counts = relay.all_counts()
        counts["connections_open"] = relay.open_clients
        counts["queued"] = len(relay.queue)
        counts["tls_cut_total"] = relay.watchdog.cut_count
        counts["access_log_lost_total"] = relay.access_log.lost
        open_by_node = {} if last else relay.chooser.open_by_node()
        self._control.tell(Counted(counts=counts, open_by_node=open_by_node))

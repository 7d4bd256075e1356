"""What all live queries of a node share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from bolide.server.clock import Clock, SystemClock
from bolide.server.limits import Limits
from bolide.server.livequery.advice.index_advice import IndexAdvice
from bolide.server.livequery.polling.polls import POLL_INTERVAL_S, Polled
from bolide.server.livequery.readings import Readings
from bolide.server.livequery.routing.router import Router
from bolide.server.livequery.turns import Turns
from bolide.server.stores.base import Store
from bolide.server.telemetry.metrics import Metrics
from bolide.server.turn import Turn

if TYPE_CHECKING:
    from bolide.server.livequery.multiplexer import Multiplexer

__all__ = ["Surroundings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all live queries of a node share.

    Attributes:
        store: Where they are read first.
        readings: Where they are read again.
        router: Which changes each is given.
        turns: The time they may take.
        turn: Lets them tell their followers at its end.
        metrics: What they count.
        limits: ``max_aggregate_rows`` is of polled ones.
        clock: The time of polls.
        poll_interval_s: When a polled one is read at the latest, seconds after the last time.
        index_advice: What index would help.
        polled: Those that are polled.
        numbers: By which they are told apart.
    """

    store: Store
    readings: Readings
    router: "Router[Multiplexer]"
    turns: Turns
    turn: Turn
    metrics: Metrics
    limits: Limits
    clock: Clock
    index_advice: IndexAdvice
    poll_interval_s: float = POLL_INTERVAL_S
    polled: Polled = field(default_factory=Polled)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def around(cls, store: Store) -> "Surroundings":
        """Make those of a store, with the default limits and the system's clock."""
        clock = SystemClock()
        return cls(
            store=store,
            index_advice=IndexAdvice(store, clock),
            readings=Readings(),
            router=Router(),
            turns=Turns(),
            turn=Turn(),
            metrics=Metrics(),
            limits=Limits(),
            clock=clock,
        )

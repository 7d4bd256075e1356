"""What a balancer did between two overviews of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bolide.balancer.management.overview import BalancerOverview

__all__ = ["BalancerRates", "compare", "labelled"]

_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class BalancerRates:
    """A balancer, and what it did since the overview before.

    Attributes:
        overview: As it is now.
        per_s: Name of a counter and its labels -> how much it grew in a second; empty if there is
            no overview before, or one of another process.
    """

    overview: BalancerOverview
    per_s: Mapping[str, float]

    def rate(self, series: str) -> float | None:
        """Return how much a counter grew in a second; None if that is not known."""
        return self.per_s.get(series, 0.0) if self.per_s else None


def compare(before: BalancerOverview | None, now: BalancerOverview) -> BalancerRates:
    """Return an overview with what happened since the one before.

    Args:
        before: None if there is none.
        now: Later.
    """
    if before is None or before.pid != now.pid or now.at <= before.at:
        return BalancerRates(now, {})
    span_s = now.at - before.at
    grown = {
        series: max(0.0, number - before.counts.get(series, 0.0)) / span_s
        for series, number in now.counts.items()
        if series.partition("{")[0].endswith("_total")
    }
    return BalancerRates(now, grown)


def labelled(numbers: Mapping[str, float], name: str) -> dict[tuple[str, ...], float]:
    """Return the series of one metric by the values of their labels.

    Args:
        numbers: Name of a metric and its labels -> number.
        name: Of the metric.
    """
    return {
        tuple(value for _, value in _LABEL.findall(series)): number
        for series, number in numbers.items()
        if series.partition("{")[0] == name
    }

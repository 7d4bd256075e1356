"""Time series that cost an addition to keep, and are put in Prometheus' form when it asks.

A counter of ``prometheus_client`` takes a lock for each step and a histogram looks for its labels
each time: 8 us of the 95 us that a method took (2026-11-26). A node counts on its event loop only,
so nothing here has a lock. Names, labels and samples are those of ``prometheus_client``.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType]

__all__ = ["Count", "Durations", "Histogram"]


class Count:
    """A counter.

    Args:
        name: Without ``_total``.
        documentation: For people.

    Attributes:
        value: What was counted.
    """

    __slots__ = ("_created_s", "_documentation", "_name", "value")

    def __init__(self, name: str, documentation: str) -> None:
        """Begin at zero."""
        self._name = name
        self._documentation = documentation
        self._created_s = time.time()
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        """Count."""
        self.value += amount

    def collect(self) -> Iterable[Metric]:
        """Return the samples; called by the registry."""
        yield CounterMetricFamily(
            self._name, self._documentation, self.value, created=self._created_s
        )


class Durations:
    """What one combination of labels was observed to take.

    Args:
        bounds: Upper bounds of the buckets, seconds.

    Attributes:
        counts: How many fell into each bucket and none before it; the last has no bound.
        total_s: All together, seconds.
    """

    __slots__ = ("_bounds", "_created_s", "counts", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin without any."""
        self._bounds = bounds
        self._created_s = time.time()
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total_s += seconds

    def add_to(self, family: HistogramMetricFamily, labels: dict[str, str]) -> None:
        """Put the samples in a family."""
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*_texts(self._bounds), "+Inf"), self.counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(list(labels.values()), buckets, self.total_s)
        family.add_sample(f"{family.name}_created", labels, self._created_s)


def _texts(bounds: Sequence[float]) -> Iterable[str]:
    # The function has no types.
    return [str(floatToGoString(bound)) for bound in bounds]  # type: ignore[no-untyped-call]


class Histogram:
    """How long something took, by its labels.

    Args:
        name: With its unit, ``_seconds``.
        documentation: For people.
        labels: Their names.
        bounds_s: Upper bounds of the buckets, seconds.
    """

    BOUNDS_S: Final = (
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    )  # fmt: skip

    __slots__ = ("_bounds_s", "_by_labels", "_documentation", "_labels", "_name")

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        bounds_s: Sequence[float] = BOUNDS_S,
    ) -> None:
        """Begin without an observation; without labels, with zeros."""
        self._bounds_s = bounds_s
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._by_labels: dict[tuple[str, ...], Durations] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Durations:
        """Return what is observed under these values of the labels."""
        durations = self._by_labels.get(values)
        if durations is None:
            durations = self._by_labels[values] = Durations(self._bounds_s)
        return durations

    def collect(self) -> Iterable[Metric]:
        """Return the samples; called by the registry."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, durations in tuple(self._by_labels.items()):
            durations.add_to(family, dict(zip(self._labels, values, strict=True)))
        yield family

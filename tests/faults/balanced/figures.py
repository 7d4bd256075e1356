"""How long clients were away, by what happened."""

import os
from collections import defaultdict
from collections.abc import Iterable
from statistics import median

__all__ = ["MEDIAN_S", "MOST_S", "Figures"]

_FACTOR = float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
MEDIAN_S, MOST_S = 3.0 * _FACTOR, 10.0 * _FACTOR


class Figures:
    """What was measured; seconds."""

    def __init__(self) -> None:
        self._events: dict[str, list[list[float]]] = defaultdict(list)

    def add(self, event: str, seconds: Iterable[float]) -> None:
        """Note how long each client was away in one event."""
        self._events[event].append(list(seconds))

    def check(self) -> None:
        """See that clients came back in time."""
        for event, each in self._events.items():
            seconds = [one for some in each for one in some]
            if seconds:
                assert median(seconds) < MEDIAN_S, event
                assert max(seconds) < MOST_S, event

    def print(self) -> None:
        """Show all, for ``pytest -rP``."""
        for event, each in self._events.items():
            seconds = [one for some in each for one in some]
            line = f"{event} x {len(each)}: {len(seconds)} clients were away"
            if seconds:
                most = " ".join(f"{max(some, default=0.0):.2f}" for some in each)
                line += (
                    f", {median(seconds):.2f} s (median) and {max(seconds):.2f} s (longest);"
                    f" the longest of each event: {most}"
                )
            print(line)

"""Medians, spreads and ratios of figures that belong together in pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread", "paired_ratios", "spread_of"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Where figures lie.

    Attributes:
        median: The middle one.
        p25: A quarter of them is at or below.
        p75: Three quarters are at or below.
        count: How many there are.
    """

    median: float
    p25: float
    p75: float
    count: int

    def __str__(self) -> str:
        """Write ``0.84 [0.80..0.91]``, three digits each."""
        return f"{_digits(self.median)} [{_digits(self.p25)}..{_digits(self.p75)}]"


def spread_of(figures: Sequence[float]) -> Spread:
    """Return median and quartiles, with straight lines between neighbours.

    Args:
        figures: In any order, at least one.

    Raises:
        ValueError: If there are none.
    """
    if not figures:
        raise ValueError("A spread needs at least one figure.")
    ordered = sorted(figures)
    return Spread(
        median=_quantile(ordered, 0.5),
        p25=_quantile(ordered, 0.25),
        p75=_quantile(ordered, 0.75),
        count=len(ordered),
    )


def paired_ratios(
    figures: Sequence[float | None], references: Sequence[float | None]
) -> list[float]:
    """Divide each figure by the reference's figure of the same round.

    The machine is faster in one minute than in the next; within one round that touches both.

    Args:
        figures: One for each round, None where it could not be taken.
        references: The peer's, of the same rounds.

    Returns:
        The ratios of the rounds in which both are known.
    """
    return [
        figure / reference
        for figure, reference in zip(figures, references, strict=True)
        if figure is not None and reference
    ]


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = math.floor(place)
    above = math.ceil(place)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _digits(figure: float) -> str:
    if figure == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(figure))))
    return f"{figure:.{min(decimals, 4)}f}"

"""Prometheus' text format, of numbers that were counted elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CONTENT_TYPE", "Family", "expose", "series"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric.

    Attributes:
        name: Without the prefix.
        kind: ``counter`` only grows.
        help: What it means.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str


def series(name: str, **labels: str) -> str:
    """Return the name of a time series, as ``name{label="value"}``."""
    if not labels:
        return name
    return f"{name}{{{','.join(map(_label, labels, labels.values()))}}}"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'


def expose(prefix: str, families: Iterable[Family], numbers: Mapping[str, float]) -> str:
    """Write the page.

    Args:
        prefix: Of all names.
        families: What there is, in the order of the page; a counter without labels that was never
            counted is 0.
        numbers: Time series, without the prefix -> number; those of no family are left out.
    """
    by_name: dict[str, list[str]] = {}
    for name, number in numbers.items():
        by_name.setdefault(name.partition("{")[0], []).append(f"{prefix}{name} {number:.17g}")
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {prefix}{family.name} {family.help}")
        lines.append(f"# TYPE {prefix}{family.name} {family.kind}")
        lines += by_name.get(family.name, [])
    return "\n".join(lines) + "\n"

"""What a run found: figures by row and server, and how they are written down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.figures.goals import Goal, Verdict, goal_for
from bench.figures.ratios import Spread, paired_ratios, spread_of

__all__ = ["Line", "RowResult", "markdown_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One server in one row.

    Attributes:
        row: Name of the row.
        server: Name of the server.
        figure: Its own figure; None if it could not be measured.
        ratio: To the reference; None for the reference itself and where there is none.
        goal: What was asked for; None for peers.
        verdict: Whether the goal is met.
        notes: What a reader has to know to believe the figure.
    """

    row: str
    server: str
    figure: Spread | None
    ratio: Spread | None
    goal: Goal | None
    verdict: Verdict | None
    notes: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class RowResult:
    """The figures of one row, one per server and round.

    Attributes:
        row: Name of the row.
        unit: Of the figures, such as ``us of CPU per delivered message``.
        reference: Server that divides the others; None if there is none.
        ours: The servers that the goal is for.
        figures: Server -> its figure in each round, None where it could not be taken.
        notes: Server -> what was seen beside the figures.
    """

    row: str
    unit: str
    reference: str | None
    ours: frozenset[str]
    figures: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    notes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, server: str, figure: float | None, note: str | None = None) -> None:
        """Keep what one round found."""
        self.figures.setdefault(server, []).append(figure)
        notes = self.notes.setdefault(server, [])
        if note is not None and note not in notes:
            notes.append(note)

    def drop_part_of_round(self, servers: Iterable[str]) -> None:
        """Forget the figures of a round that not all servers had."""
        complete = min((len(self.figures.get(server, [])) for server in servers), default=0)
        for figures in self.figures.values():
            del figures[complete:]

    @property
    def rounds(self) -> int:
        """How many rounds were run."""
        return max(map(len, self.figures.values()), default=0)

    def lines(self) -> list[Line]:
        """Return one line per server, in the order in which they were measured."""
        return [self._line(server) for server in self.figures]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, raw figures included."""
        return {
            "row": self.row,
            "unit": self.unit,
            "reference": self.reference,
            "ours": sorted(self.ours),
            "figures": self.figures,
            "lines": [
                {
                    "server": line.server,
                    "figure": None if line.figure is None else asdict(line.figure),
                    "ratio": None if line.ratio is None else asdict(line.ratio),
                    "goal": None if line.goal is None else line.goal.most,
                    "verdict": line.verdict,
                    "notes": list(line.notes),
                }
                for line in self.lines()
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RowResult":
        """Read what a bench in a program of its own printed.

        Args:
            value: ``row``, ``unit``, ``reference``, ``ours`` and ``figures`` of :meth:`as_json`;
                ``notes`` (server -> list of texts) if there are any.

        Raises:
            KeyError: If one of them is missing.
        """
        figures = {server: list(rounds) for server, rounds in value["figures"].items()}
        return cls(
            row=value["row"],
            unit=value["unit"],
            reference=value["reference"],
            ours=frozenset(value["ours"]),
            figures=figures,
            notes={server: list(notes) for server, notes in value.get("notes", {}).items()},
        )

    def _line(self, server: str) -> Line:
        known = [figure for figure in self.figures[server] if figure is not None]
        figure = spread_of(known) if known else None
        ratio = None
        if self.reference is not None and server != self.reference:
            ratios = paired_ratios(self.figures[server], self.figures.get(self.reference, []))
            ratio = spread_of(ratios) if ratios else None
        goal = goal_for(self.row) if server in self.ours else None
        judged = None if goal is None else (ratio if goal.reference is not None else figure)
        return Line(
            row=self.row,
            server=server,
            figure=figure,
            ratio=ratio,
            goal=goal,
            verdict=None if goal is None or judged is None else goal.verdict(judged.median),
            notes=tuple(self.notes.get(server, ())),
        )


def markdown_table(results: Sequence[RowResult], *, date: str, commit: str) -> str:
    """Return the table for ``docs/design/performance.md``.

    Args:
        results: Of one run.
        date: Such as ``2026-11-26``.
        commit: What was measured.
    """
    cells = [
        (
            line.row,
            line.server,
            "-" if line.goal is None else str(line.goal),
            _ratio_cell(line, result.reference),
            "-" if line.verdict is None else line.verdict,
            f"{'-' if line.figure is None else line.figure} {result.unit}",
            str(result.rounds),
            date,
            commit,
        )
        for result in results
        for line in result.lines()
    ]
    head = ("row", "server", "goal (stretch)", "ratio, median [p25..p75]", "", "figure")
    rows = [(*head, "rounds", "date", "commit"), ("---",) * 9, *cells]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = [
        f"- {result.row}, {line.server}: {note}."
        for result in results
        for line in result.lines()
        for note in line.notes
    ]
    return "\n".join([table, *(["", *notes] if notes else [])]) + "\n"


def _ratio_cell(line: Line, reference: str | None) -> str:
    if line.ratio is not None:
        return f"{line.ratio} x {reference}"
    return "1" if line.server == reference else "-"

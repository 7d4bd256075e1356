"""The goals, as data: what DESIGN 15 asks for."""

from dataclasses import dataclass

__all__ = ["GOALS", "Goal", "Verdict", "goal_for"]

Verdict = str
"""``"stretch met"``, ``"met"`` or ``"missed"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What one figure of a row should be at most.

    Attributes:
        row: Name of the row.
        reference: The peer whose same-round figure divides ours; None: the figure itself counts.
        most: The goal.
        stretch: What we would like; None if there is no such wish.
        path: What is measured, in words.
    """

    row: str
    reference: str | None
    most: float
    stretch: float | None = None
    path: str

    def verdict(self, figure: float) -> Verdict:
        """Tell whether a figure (a median) meets the goal."""
        if self.stretch is not None and figure <= self.stretch:
            return "stretch met"
        return "met" if figure <= self.most else "missed"

    def __str__(self) -> str:
        """Say it as a table does."""
        unit = "x" if self.reference is not None else ""
        stretch = "" if self.stretch is None else f" ({self.stretch:g}{unit})"
        return f"<= {self.most:g}{unit}{stretch}"


GOALS = (
    Goal(
        row="fanout",
        reference="node-ws",
        most=0.85,
        stretch=0.6,
        path="delivered message to 1,000 subscribers, publication included, 200-byte frame",
    ),
    Goal(
        row="fanout-tls",
        reference="node-ws",
        most=0.7,
        stretch=0.5,
        path="the same over TLS",
    ),
    Goal(
        row="coalesce",
        reference="node-ws",
        most=0.25,
        stretch=0.2,
        path="4 changes in one turn of the loop, per message",
    ),
    Goal(
        row="method",
        reference="node-ws",
        most=1.0,
        stretch=0.85,
        path="method request and reply, strict validation included, to a bare echo",
    ),
    Goal(
        row="memory",
        reference=None,
        most=40.0,
        path="session with one subscription to a shared 50-document publication, kB",
    ),
    Goal(
        row="balancer-message",
        reference="haproxy",
        most=1.05,
        stretch=0.9,
        path="balancer, relayed WebSocket message",
    ),
    Goal(
        row="balancer-large-message",
        reference="haproxy",
        most=1.05,
        stretch=0.9,
        path="the same, 4 KiB on 500 connections",
    ),
    Goal(
        row="balancer-http",
        reference="haproxy",
        most=1.3,
        stretch=1.1,
        path="balancer, HTTP request with head parsed",
    ),
    Goal(
        row="balancer-connection",
        reference="haproxy",
        most=1.35,
        stretch=1.15,
        path="balancer, new WebSocket connection, both handshakes",
    ),
    Goal(
        row="balancer-idle",
        reference=None,
        most=60.0,
        path="balancer, idle proxied connection, kB",
    ),
    Goal(
        row="balancer-workers",
        reference="bolide",
        most=1.1,
        path="balancer, relayed WebSocket message, two workers to one",
    ),
    Goal(
        row="balancer-idle-busy",
        reference="bolide-2-workers",
        most=1.15,
        path="balancer, relayed WebSocket message of 200 connections, beside 10,000 idle to none",
    ),
    Goal(
        row="live-queries",
        reference="100 queries",
        most=1.5,
        path="a change with the same matches, 10,000 queries to 100",
    ),
    Goal(
        row="live-queries-scan",
        reference="compiled scan",
        most=0.01,
        path="a change among 10,000 queries, to a compiled naive scan",
    ),
    Goal(
        row="cross-process",
        reference="own process",
        most=3.0,
        path="time until a subscriber sees a change of another process, to one of its own",
    ),
    Goal(
        row="mongodb-backlog",
        reference="watch",
        most=1.2,
        path="change event of MongoDB from stream to routed, a backlog, to a bare watch() loop",
    ),
    Goal(
        row="mongodb-live",
        reference="watch",
        most=1.2,
        path="the same at 50 writes a second",
    ),
    Goal(
        row="mongodb-latency-50",
        reference="watch",
        most=1.5,
        path="write to client on MongoDB at 50 writes a second, to a bare watch() loop",
    ),
)


def goal_for(row: str) -> Goal | None:
    """Return the goal of a row, None if it has none."""
    return next((goal for goal in GOALS if goal.row == row), None)

"""Make one state of all that is noticed of a node.

A node is looked at in two ways. The supervisor *probes* it all the time: it answers that it is
ready, or that it takes no new sessions, or it does not answer. Workers *notice* whether their
connections to it were of use. The two find different faults: a probe finds a node that nobody
uses just then; workers find one whose management listener answers while its sessions fail.

::

                  rise probes                   the trial, or probes that failed first
       down ------------------------> up <----------------------------- probation
        ^  <------------------------  |  ejected by workers                  ^
              fall probes             v                                      |
                                     down --------- time is over ------------+

``draining`` takes the place of ``up`` and of ``probation`` while the node says that it takes nobody
new, or the operator does. An ejection lasts twice as long each time, up to a maximum, and as long
as at first again after the node was up for that maximum. What the probes know of a node is not
lost meanwhile. A node that was started again is another one: its ejection ends with
probation, for it may be one that crashes again and again.

The last node is never ejected: a node that answers its probes is better than none. If all others
are down, those that were ejected and answer their probes are taken back at once.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bolide.balancer.worker.messages import NodeState, Noticed

__all__ = ["Health", "HealthRules", "NodeHealth", "Probe"]

Probe: TypeAlias = Literal["ready", "draining", "failed"]
"""What a node said: it takes sessions; it works, but takes no new ones; nothing of use."""

_FAILED_FOR_EACH_ANSWER: Final = 2
"""A worker tells of an answer once after each row of failures. If half of all connections fail,
such a row has two of them on average."""

_SLOT_S: Final = 1.0
"""How exact the window of an ejection is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """What it takes to believe that a node is well, or that it is not.

    Attributes:
        rise: Probes in a row that a node answers before it is up again; the first one of its life
            counts alone.
        fall: Probes in a row that fail before it is down.
        eject_after: Connections that failed, before workers' word ejects it: so many in a row, or
            so many within the window that it seems to be half of all.
        eject_window_s: How long a failed connection counts.
        eject_s: How long the first ejection lasts.
        max_eject_s: How long one lasts at most.
    """

    rise: int = 2
    fall: int = 3
    eject_after: int = 5
    eject_window_s: float = 10
    eject_s: float = 5
    max_eject_s: float = 300


class NodeHealth:
    """What is known of one node.

    Args:
        rules: What it takes.

    Attributes:
        up_since: When it came, or came back; monotonic seconds.
        is_held: The operator wants that it gets nobody new.
        ejections: How often in a row workers' word ejected it.
    """

    def __init__(self, rules: HealthRules) -> None:
        """Begin down, and nothing asked."""
        self.rules = rules
        self.up_since = 0.0
        self.is_held = False
        self.ejections = 0
        self._hold_is_short = False
        self._answers = False
        self._says_draining = False
        self._is_new = True
        self._run = ""
        self._streak = 0
        self._ejected_until: float | None = None
        self._is_in_probation = False
        self._failures_in_a_row = 0
        # (slot, failed, answered), the newest last.
        self._window: deque[tuple[int, int, int]] = deque()

    @property
    def state(self) -> NodeState:
        """What it may be given."""
        if not self._answers or self._ejected_until is not None:
            return "down"
        if self._says_draining or self.is_held:
            return "draining"
        return "probation" if self._is_in_probation else "up"

    @property
    def is_ejected(self) -> bool:
        """Whether it is down because of workers' word alone."""
        return self._answers and self._ejected_until is not None

    @property
    def deserves_ejection(self) -> bool:
        """Whether workers noticed enough."""
        if self._is_in_probation:
            return self._failures_in_a_row > 0
        failed = sum(slot[1] for slot in self._window)
        answered = sum(slot[2] for slot in self._window)
        after = self.rules.eject_after
        return self._failures_in_a_row >= after or (
            failed >= after and failed >= _FAILED_FOR_EACH_ANSWER * answered
        )

    def probed(self, probe: Probe, now: float, run: str = "") -> bool:
        """Learn what a probe said; returns whether the node was started again since the last one.

        Args:
            probe: What.
            now: Monotonic time, seconds.
            run: Of the node, another one after it was started again; empty if it does not tell.
        """
        answers = probe != "failed"
        before, self._run = self._run, run or self._run
        was_started_again = bool(before) and before != self._run
        if was_started_again:
            self._start_again(now)
        if answers:
            if self._says_draining and probe == "ready":
                self.up_since = now
            self._says_draining = probe == "draining"
        if answers == self._answers:
            self._streak = 0
        else:
            self._streak += 1
            needed = self.rules.rise if answers else self.rules.fall
            if self._streak >= needed or self._is_new:
                self._streak = 0
                self._answers = answers
                if answers:
                    self._come(now)
        self._is_new = False
        if self._hold_is_short and (probe == "draining" or not self._answers or was_started_again):
            self.is_held = self._hold_is_short = False
        return was_started_again

    def noticed(self, what: str, now: float) -> None:
        """Learn how a connection of a worker went; nothing is ejected by that yet.

        Args:
            what: As in :class:`~bolide.balancer.worker.messages.Noticed`.
            now: Monotonic time, seconds.
        """
        if self._ejected_until is not None or not self._answers:
            return  # of connections that began before
        answered = what == "answered"
        self._failures_in_a_row = 0 if answered else self._failures_in_a_row + 1
        if answered and self._is_in_probation:
            self._is_in_probation = False
            self._window.clear()
            self.up_since = now
        slot = int(now // _SLOT_S)
        if not self._window or self._window[-1][0] != slot:
            self._window.append((slot, 0, 0))
        _, failed, good = self._window[-1]
        self._window[-1] = (slot, failed + (not answered), good + answered)
        self._forget(now)

    def hold(self, *, until_it_says_so: bool = False) -> None:
        """Give it nobody new.

        Args:
            until_it_says_so: Only until it says itself that it is draining, or is gone, so that
                it comes back by itself when it was started again; else until :meth:`release`.
        """
        self.is_held = True
        self._hold_is_short = until_it_says_so

    def release(self, now: float) -> None:
        """Give it what it can take again."""
        if self.is_held:
            self.is_held = False
            self.up_since = now

    def eject(self, now: float) -> None:
        """Give it nobody for a while."""
        lasts_s = min(self.rules.eject_s * 2**self.ejections, self.rules.max_eject_s)
        self._ejected_until = now + lasts_s
        self._is_in_probation = False
        self._failures_in_a_row = 0
        self._window.clear()
        if lasts_s < self.rules.max_eject_s:
            self.ejections += 1

    def take_back(self, now: float) -> None:
        """End an ejection or a probation without a trial."""
        self._ejected_until = None
        self._is_in_probation = False
        self.up_since = now

    def tick(self, now: float) -> None:
        """Advance to ``now``, monotonic seconds."""
        until = self._ejected_until
        if until is not None and now >= until:
            self._ejected_until = None
            self._is_in_probation = True
        if self.state == "up" and now - self.up_since >= self.rules.max_eject_s:
            self.ejections = 0
        self._forget(now)

    def _come(self, now: float) -> None:
        """Begin anew: it was away, and what workers noticed before is of another life."""
        self.up_since = now
        self._ejected_until = None
        self._is_in_probation = False
        self._failures_in_a_row = 0
        self._window.clear()

    def _start_again(self, now: float) -> None:
        """Learn that it was away, however short that was."""
        owes_trial = self._ejected_until is not None or self._is_in_probation
        self._come(now)
        self._is_in_probation = owes_trial

    def _forget(self, now: float) -> None:
        oldest = int((now - self.rules.eject_window_s) // _SLOT_S)
        while self._window and self._window[0][0] <= oldest:
            self._window.popleft()
        if not self._window:
            self._failures_in_a_row = 0


class Health:
    """What is known of all nodes.

    Args:
        rules: What it takes.
    """

    def __init__(self, rules: HealthRules) -> None:
        """Begin without nodes."""
        self._rules = rules
        self._nodes: dict[str, NodeHealth] = {}

    def __getitem__(self, name: str) -> NodeHealth:
        return self._nodes[name]

    def use(self, rules: HealthRules) -> None:
        """Go by other rules from now on."""
        self._rules = rules
        for node in self._nodes.values():
            node.rules = rules

    def keep(self, names: Iterable[str]) -> None:
        """Know these nodes: new ones are down until they answer, others are forgotten."""
        self._nodes = {name: self._nodes.get(name) or NodeHealth(self._rules) for name in names}

    def probed(self, name: str, probe: Probe, now: float, run: str = "") -> bool:
        """Learn what a probe of a node said; nodes that are not known any more are passed over.

        Returns:
            Whether the node was started again since the last one.
        """
        if (node := self._nodes.get(name)) is None:
            return False
        was_started_again = node.probed(probe, now, run)
        self.tick(now)
        return was_started_again

    def noticed(self, noticed: Noticed, now: float) -> None:
        """Learn what a worker noticed; nodes that are not known any more are passed over."""
        if (node := self._nodes.get(noticed.node)) is None:
            return
        node.noticed(noticed.what, now)
        if node.deserves_ejection and self._has_other(node):
            node.eject(now)

    def tick(self, now: float) -> None:
        """Advance to ``now``, monotonic seconds; call it a few times a second."""
        for node in self._nodes.values():
            node.tick(now)
        if not any(node.state == "up" for node in self._nodes.values()):
            for node in self._nodes.values():
                if node.is_ejected or node.state == "probation":
                    node.take_back(now)

    def _has_other(self, node: NodeHealth) -> bool:
        return any(other.state == "up" for other in self._nodes.values() if other is not node)

"""What probes and workers noticed becomes the state of a node."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bolide.balancer.health.health import Health, HealthRules, NodeHealth, Probe
from bolide.balancer.worker.messages import Noticed

RULES = HealthRules(
    rise=2, fall=3, eject_after=5, eject_window_s=10, eject_s=5, max_eject_s=60
)  # fmt: skip


def make_health(*up: str, others: tuple[str, ...] = ()) -> Health:
    health = Health(RULES)
    health.keep([*up, *others])
    for name in up:
        health.probed(name, "ready", 0.0)
    return health


def probe(node: NodeHealth, *probes: Probe, now: float = 0.0) -> str:
    for said in probes:
        node.probed(said, now)
    return node.state


def fail(health: Health, name: str, now: float, times: int = 1) -> str:
    for _ in range(times):
        health.noticed(Noticed(name, "refused"), now)
    return health[name].state


def answer(health: Health, name: str, now: float, times: int = 1) -> str:
    for _ in range(times):
        health.noticed(Noticed(name, "answered"), now)
    return health[name].state


def state(health: Health, name: str) -> str:
    return health[name].state


def test_a_node_that_was_started_again_ends_its_ejection_with_a_trial() -> None:
    health = make_health("b")
    health.keep(["a", "b"])
    health.probed("a", "ready", 0, "first")
    assert fail(health, "a", 1, 5) == "down"
    health.probed("a", "ready", 2, "first")
    assert state(health, "a") == "down"
    health.probed("a", "ready", 3, "second")
    assert state(health, "a") == "probation"
    assert answer(health, "a", 4) == "up"
    # What is worse: it crashes again and again.
    assert fail(health, "a", 5, 5) == "down"
    health.tick(5 + 2 * RULES.eject_s - 0.1)
    assert state(health, "a") == "down"


def test_a_node_that_was_started_again_in_its_probation_still_owes_the_trial() -> None:
    health = make_health("b")
    health.keep(["a", "b"])
    assert not health.probed("a", "ready", 0, "first")
    assert fail(health, "a", 1, 5) == "down"
    health.tick(1 + RULES.eject_s)
    assert state(health, "a") == "probation"
    assert health.probed("a", "ready", 7, "second")
    assert state(health, "a") == "probation"
    assert fail(health, "a", 8) == "down"


def test_a_node_that_was_started_again_between_two_probes_is_new() -> None:
    node = NodeHealth(RULES)
    node.probed("ready", 0, "first")
    node.probed("ready", 1, "first")
    assert node.up_since == 0
    node.hold(until_it_says_so=True)
    node.probed("ready", 2, "second")
    assert node.state == "up"
    assert node.up_since == 2


def test_a_node_that_does_not_tell_of_its_runs_is_the_same() -> None:
    node = NodeHealth(RULES)
    node.probed("ready", 0, "first")
    node.probed("ready", 1)
    node.probed("ready", 2, "first")
    assert node.up_since == 0


def test_a_node_is_down_until_it_answers_and_its_first_answer_is_enough() -> None:
    node = NodeHealth(RULES)
    assert node.state == "down"
    assert probe(node, "ready", now=7) == "up"
    assert node.up_since == 7


def test_a_node_that_did_not_answer_at_first_must_rise() -> None:
    node = NodeHealth(RULES)
    assert probe(node, "failed", "ready") == "down"
    assert probe(node, "ready") == "up"


def test_it_falls_after_so_many_failures_in_a_row_and_rises_after_so_many_answers() -> None:
    node = NodeHealth(RULES)
    assert probe(node, "ready", "failed", "failed") == "up"
    assert probe(node, "ready", "failed", "failed") == "up"
    assert probe(node, "failed") == "down"
    assert probe(node, "ready", "failed", "ready") == "down"
    assert probe(node, "ready", now=9) == "up"
    assert node.up_since == 9


def test_what_the_node_says_of_itself_counts_at_once() -> None:
    node = NodeHealth(RULES)
    assert probe(node, "ready", "draining") == "draining"
    assert probe(node, "ready", now=9) == "up"
    assert node.up_since == 9
    assert probe(node, "draining", "failed", "failed") == "draining"
    assert probe(node, "failed") == "down"


def test_what_the_operator_wants_holds_while_the_node_is_ready() -> None:
    node = NodeHealth(RULES)
    probe(node, "ready")
    node.hold()
    assert probe(node, "ready") == "draining"
    node.release(8)
    assert (node.state, node.up_since) == ("up", 8)
    node.release(9)
    assert node.up_since == 8


@pytest.mark.parametrize("said", [["draining"], ["failed"] * 3])
def test_a_node_that_was_told_to_drain_comes_back_when_it_was_started_again(
    said: list[Probe],
) -> None:
    node = NodeHealth(RULES)
    probe(node, "ready")
    node.hold(until_it_says_so=True)
    assert probe(node, "ready", "failed", "failed") == "draining"
    probe(node, *said)
    assert probe(node, "ready", "ready") == "up"


def test_failures_in_a_row_eject() -> None:
    health = make_health("a", "b")
    assert fail(health, "a", 1, times=4) == "up"
    assert fail(health, "a", 1) == "down"
    assert health["a"].is_ejected
    assert state(health, "b") == "up"


@pytest.mark.parametrize("what", ["refused", "timeout", "handshake", "untrusted", "broken"])
def test_every_kind_of_failure_counts(what: str) -> None:
    health = make_health("a", "b")
    for _ in range(5):
        health.noticed(Noticed("a", what), 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert state(health, "a") == "down"


def test_an_answer_ends_the_row() -> None:
    health = make_health("a", "b")
    answer(health, "a", 1, times=20)
    for now in range(1, 9):
        fail(health, "a", now, times=2)
        assert answer(health, "a", now, times=4) == "up"


def test_a_node_of_which_half_of_all_fails_is_ejected() -> None:
    health = make_health("a", "b")
    states: list[str] = []
    for now in range(3):
        states.append(fail(health, "a", now, times=2))
        answer(health, "a", now)
    assert states == ["up", "up", "down"]


def test_single_failures_between_answers_do_not_eject() -> None:
    """An answer is told once after failures, whatever the number of those that came."""
    health = make_health("a", "b")
    for now in range(9):
        fail(health, "a", now)
        assert answer(health, "a", now) == "up"


def test_failures_of_long_ago_do_not_count() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=4)
    health.tick(12)
    assert fail(health, "a", 12, times=4) == "up"
    assert fail(health, "a", 12) == "down"


def test_after_its_time_it_is_tried_and_one_answer_brings_it_back() -> None:
    health = make_health("a", "b")
    fail(health, "a", 1, times=5)
    health.tick(5.9)
    assert state(health, "a") == "down"
    health.tick(6)
    assert state(health, "a") == "probation"
    assert answer(health, "a", 7) == "up"
    assert health["a"].up_since == 7
    assert fail(health, "a", 7, times=4) == "up"


def test_a_trial_that_fails_ejects_it_for_twice_as_long_up_to_a_maximum() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    now = 0.0
    for lasts_s in (5, 10, 20, 40, 60, 60):
        health.tick(now + lasts_s - 0.1)
        assert state(health, "a") == "down"
        now += lasts_s
        health.tick(now)
        assert state(health, "a") == "probation"
        assert fail(health, "a", now) == "down"


def test_a_node_that_was_up_for_long_begins_with_a_short_ejection_again() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    health.tick(5)
    fail(health, "a", 5)
    health.tick(15)
    assert answer(health, "a", 15) == "up"
    health.tick(15 + RULES.max_eject_s)
    fail(health, "a", 80, times=5)
    health.tick(85)
    assert state(health, "a") == "probation"


def test_what_began_before_an_ejection_does_not_count_for_it() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    answer(health, "a", 1)
    assert fail(health, "a", 1, times=9) == "down"
    health.tick(5)
    assert state(health, "a") == "probation"


def test_probes_go_on_while_it_is_ejected_and_one_that_comes_back_begins_anew() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    for _ in range(3):
        health.probed("a", "failed", 1)
    health.probed("a", "ready", 2)
    assert state(health, "a") == "down"
    health.probed("a", "ready", 3)
    assert (state(health, "a"), health["a"].up_since) == ("up", 3)


def test_the_last_node_is_never_ejected() -> None:
    health = make_health("a", "b", others=("down",))
    fail(health, "a", 0, times=5)
    assert fail(health, "b", 0, times=50) == "up"


def test_nodes_that_were_ejected_are_taken_back_when_the_others_are_gone() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    for _ in range(3):
        health.probed("b", "failed", 1)
    assert state(health, "b") == "down"
    assert (state(health, "a"), health["a"].up_since) == ("up", 1)


def test_one_in_probation_is_no_other_to_go_to() -> None:
    health = make_health("a", "b")
    fail(health, "a", 0, times=5)
    health.tick(5)
    assert state(health, "a") == "probation"
    assert fail(health, "b", 5, times=9) == "up"


def test_a_node_that_left_is_forgotten_and_news_of_it_are_passed_over() -> None:
    health = make_health("a", "b")
    health.keep(["b"])
    health.probed("a", "ready", 1)
    health.noticed(Noticed("a", "refused"), 1)
    health.keep(["a", "b"])
    assert state(health, "a") == "down"
    assert state(health, "b") == "up"


def test_other_rules_hold_at_once() -> None:
    health = make_health("a", "b")
    health.use(HealthRules(fall=1))
    health.probed("a", "failed", 1)
    assert state(health, "a") == "down"


class HealthMachine(RuleBasedStateMachine):
    """Whatever is noticed, the last node that answers its probes is given to clients."""

    NAMES = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.health = Health(RULES)
        self.health.keep(self.NAMES)

    @rule(delta=st.floats(0, 30))
    def time_passes(self, delta: float) -> None:
        self.now += delta
        self.health.tick(self.now)

    @rule(
        name=st.sampled_from(NAMES),
        said=st.sampled_from(["ready", "ready", "draining", "failed"]),
        times=st.integers(1, 4),
    )
    def node_is_probed(self, name: str, said: Probe, times: int) -> None:
        for _ in range(times):
            self.health.probed(name, said, self.now)

    @rule(name=st.sampled_from(NAMES), times=st.integers(1, 8))
    def connections_fail(self, name: str, times: int) -> None:
        fail(self.health, name, self.now, times)

    @rule(name=st.sampled_from(NAMES))
    def a_connection_is_of_use(self, name: str) -> None:
        answer(self.health, name, self.now)

    @invariant()
    def none_is_ejected_while_no_other_is_up(self) -> None:
        nodes = [self.health[name] for name in self.NAMES]
        if not any(node.state == "up" for node in nodes):
            assert not any(node.is_ejected for node in nodes)


HealthMachine.TestCase.settings = settings(deadline=None)
TestHealthMachine = HealthMachine.TestCase

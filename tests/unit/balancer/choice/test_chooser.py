"""Which node gets a new connection: shares, herds, room, and who is not asked at all."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from bolide.balancer.choice.chooser import Chooser, Policy
from bolide.balancer.worker.messages import Node, NodeState

POLICIES: tuple[Policy, ...] = ("two-choices", "round-robin")
GROWN = 1000.0  # long after every slow start
SLOW_START_S = 30.0


def make_node(
    name: str,
    *,
    state: NodeState = "up",
    weight: float = 1.0,
    sessions: int = 0,
    reported_at: float = 0.0,
    up_since: float = 0.0,
    max_connections: int = 0,
) -> Node:
    return Node(
        name=name,
        host="10.0.0.1",
        port=3000,
        state=state,
        weight=weight,
        sessions=sessions,
        reported_at=reported_at,
        up_since=up_since,
        max_connections=max_connections,
    )


def make_chooser(policy: Policy = "two-choices", *nodes: Node, seed: int = 1) -> Chooser:
    chooser = Chooser(policy, slow_start_s=SLOW_START_S, rng=Random(seed))
    chooser.see(nodes)
    return chooser


def pick(chooser: Chooser, now: float = GROWN) -> str:
    node = chooser.pick(now)
    assert node is not None
    chooser.opened(node.name)
    return node.name


def picked(chooser: Chooser, count: int, now: float = GROWN) -> Counter[str]:
    return Counter(pick(chooser, now) for _ in range(count))


@pytest.mark.parametrize("policy", POLICIES)
def test_without_nodes_none_is_chosen(policy: Policy) -> None:
    chooser = make_chooser(policy)
    assert chooser.pick(GROWN) is None
    assert not chooser.is_full()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("state", ["draining", "down"])
def test_nodes_that_take_nobody_new_are_not_chosen(policy: Policy, state: NodeState) -> None:
    chooser = make_chooser(policy, make_node("a", state=state), make_node("b"))
    assert picked(chooser, 20) == {"b": 20}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_node_of_no_weight_keeps_its_clients_and_gets_no_others(policy: Policy) -> None:
    chooser = make_chooser(policy, make_node("a", weight=0))
    assert chooser.pick(GROWN) is None
    assert chooser.sticky("a", GROWN) is not None
    assert not chooser.is_full()


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_tried_is_avoided(policy: Policy) -> None:
    chooser = make_chooser(policy, make_node("a"), make_node("b"))
    avoided = {chooser.pick(GROWN, avoid=frozenset({"a"})) for _ in range(20)}
    assert {node.name for node in avoided if node} == {"b"}
    assert chooser.pick(GROWN, avoid=frozenset({"a", "b"})) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_weights_are_shares(policy: Policy) -> None:
    chooser = make_chooser(policy, make_node("a", weight=3), make_node("b", weight=1))
    counts = picked(chooser, 4000)
    assert counts["a"] == pytest.approx(3000, abs=40)


def test_the_less_busy_one_of_two_wins() -> None:
    chooser = make_chooser("two-choices", make_node("a", sessions=50), make_node("b", sessions=10))
    assert picked(chooser, 40) == {"b": 40}
    assert set(picked(chooser, 20)) == {"a", "b"}


def test_a_report_takes_the_place_of_what_was_opened_since_the_last_one() -> None:
    chooser = make_chooser("two-choices", make_node("a"), make_node("b", sessions=10))
    assert picked(chooser, 10) == {"a": 10}
    # Another view with the same reports: nothing is forgotten.
    chooser.see([make_node("a"), make_node("b", sessions=10)])
    assert picked(chooser, 10) == {"a": 5, "b": 5}
    # Both had fewer than was thought, a the fewest.
    chooser.see(
        [make_node("a", sessions=2, reported_at=1), make_node("b", sessions=7, reported_at=1)]
    )
    assert picked(chooser, 5) == {"a": 5}


def test_what_ended_since_does_not_count() -> None:
    chooser = make_chooser("two-choices", make_node("a", sessions=1), make_node("b", sessions=3))
    for _ in range(10):
        chooser.opened("a")
        chooser.closed("a")
    assert pick(chooser) == "a"
    assert chooser.open_by_node() == {"a": 1}


def spread(workers: Sequence[Chooser], count: int) -> Counter[str]:
    chance = Random(7)
    return Counter(pick(chance.choice(workers)) for _ in range(count))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("workers", [1, 4, 16])
def test_the_clients_of_a_dead_node_make_no_herd(policy: Policy, workers: int) -> None:
    """10,000 reconnect before any node reports again."""
    nodes = [make_node(f"n{number}", sessions=1000 + number % 3) for number in range(9)]
    dead = make_node("dead", sessions=1000, state="down")
    choosers = [make_chooser(policy, dead, *nodes, seed=seed) for seed in range(workers)]
    counts = spread(choosers, 10_000)
    assert set(counts) == {node.name for node in nodes}
    assert max(counts.values()) <= 1.3 * 10_000 / len(nodes)


def test_the_least_busy_node_is_not_run_over_by_all_workers() -> None:
    """One node is empty, and 16 workers go by the same old report for 2,000 connections."""
    nodes = [make_node(f"n{number}", sessions=1000) for number in range(9)]
    nodes.append(make_node("empty", sessions=0))
    choosers = [make_chooser("two-choices", *nodes, seed=seed) for seed in range(16)]
    counts = spread(choosers, 2000)
    total = {node.name: node.sessions + counts[node.name] for node in nodes}
    assert max(total.values()) <= 1.3 * sum(total.values()) / len(total)
    assert counts["empty"] <= 2.3 * 2000 / len(nodes)  # drawn twice as often as its share, no more


@pytest.mark.parametrize("policy", POLICIES)
def test_a_node_that_came_back_begins_with_a_tenth_and_grows(policy: Policy) -> None:
    old = [make_node(f"old{number}", sessions=1000) for number in range(3)]
    back = make_node("back", up_since=GROWN)

    def share(now: float) -> float:
        chooser = make_chooser(policy, back, *old)
        return picked(chooser, 1000, now)["back"] / 1000

    begin, half, end = (share(GROWN + part * SLOW_START_S) for part in (0.0, 0.5, 1.0))
    assert begin < 0.1
    assert begin < half < end
    assert share(GROWN - 1) == begin  # a clock that is a little behind


@pytest.mark.parametrize("policy", POLICIES)
def test_slow_start_can_be_off(policy: Policy) -> None:
    chooser = make_chooser(policy, make_node("a"), make_node("back", up_since=GROWN))
    chooser.use(policy, slow_start_s=0)
    assert picked(chooser, 100)["back"] == pytest.approx(50, abs=2)


def test_round_robin_does_not_send_in_bunches() -> None:
    chooser = make_chooser("round-robin", make_node("a", weight=2), make_node("b"))
    names = [pick(chooser) for _ in range(30)]
    assert all(names[place : place + 3].count("b") == 1 for place in range(28))


def test_round_robin_of_several_workers_does_not_begin_with_the_same_node() -> None:
    nodes = [make_node(name) for name in "abcd"]
    first = {pick(make_chooser("round-robin", *nodes, seed=seed)) for seed in range(16)}
    assert len(first) > 1


@pytest.mark.parametrize("policy", POLICIES)
def test_one_in_probation_gets_one_connection_at_a_time(policy: Policy) -> None:
    busy = make_node("busy", sessions=5)
    trial = make_node("trial", state="probation", sessions=1000)
    chooser = make_chooser(policy, busy, trial)
    assert picked(chooser, 50) == {"busy": 49, "trial": 1}
    assert chooser.sticky("trial", GROWN) is None
    chooser.closed("trial")
    assert chooser.sticky("trial", GROWN) is trial
    assert picked(chooser, 50)["trial"] == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_no_node_gets_more_than_its_limit(policy: Policy) -> None:
    chooser = make_chooser(
        policy, make_node("a", max_connections=2), make_node("b", max_connections=3)
    )
    assert not chooser.is_full()
    assert picked(chooser, 5) == {"a": 2, "b": 3}
    assert chooser.pick(GROWN) is None
    assert chooser.is_full()
    assert chooser.sticky("a", GROWN) is None
    chooser.closed("a")
    assert not chooser.is_full()
    assert chooser.is_full(frozenset({"a"}))
    assert not chooser.is_full(frozenset({"a", "b"}))
    assert chooser.sticky("a", GROWN) is not None


@pytest.mark.parametrize("state", ["draining", "down"])
def test_waiting_for_a_node_that_takes_nobody_makes_no_sense(state: NodeState) -> None:
    chooser = make_chooser("two-choices", make_node("a", state=state, max_connections=1))
    chooser.opened("a")
    assert not chooser.is_full()


@pytest.mark.parametrize("state", ["draining", "down"])
def test_a_client_leaves_a_node_that_takes_nobody_new(state: NodeState) -> None:
    chooser = make_chooser("two-choices", make_node("a"))
    assert chooser.sticky("a", GROWN) is not None
    chooser.see([make_node("a", state=state)])
    assert chooser.sticky("a", GROWN) is None
    assert chooser.keeps("a") is None
    assert chooser.sticky("unknown", GROWN) is None


def test_an_open_connection_is_used_on_where_there_is_no_room_for_a_new_one() -> None:
    chooser = make_chooser("two-choices", make_node("a", max_connections=1))
    chooser.opened("a")
    assert chooser.sticky("a", GROWN) is None
    assert chooser.keeps("a") is not None
    assert chooser.keeps("unknown") is None


def test_a_new_view_loses_no_count() -> None:
    chooser = make_chooser("two-choices", make_node("a"), make_node("b"))
    chooser.opened("a")
    chooser.opened("b")
    chooser.see([make_node("b")])
    assert chooser.open_by_node() == {"a": 1, "b": 1}
    chooser.closed("a")
    assert chooser.open_by_node() == {"b": 1}
    chooser.see([make_node("a"), make_node("b")])
    assert set(picked(chooser, 10)) == {"a", "b"}


def test_the_policy_can_change_while_it_works() -> None:
    chooser = make_chooser("two-choices", make_node("a", sessions=9), make_node("b"))
    assert picked(chooser, 5) == {"b": 5}
    chooser.use("round-robin", slow_start_s=0)
    assert picked(chooser, 10) == {"a": 5, "b": 5}

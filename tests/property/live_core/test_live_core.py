"""Whatever happens in whatever order: views end right, and were right on the way.

``BOLIDE_TESTS_SCHEDULES`` is the number of schedules of each kind (150). With
``BOLIDE_TESTS_SEED`` they are drawn from that seed, and with ``BOLIDE_TESTS_SEED=random`` from a
new one, which is printed; without it they are the same in every run. ``BOLIDE_TESTS_SHRINK=0``
leaves a schedule that fails as it is.
"""

import asyncio
import os
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.property.live_core.machine import READERS, Step, run_schedule
from tests.property.live_core.model import IDS, NAMES, USERS, WARDS

SCHEDULES = int(os.environ.get("BOLIDE_TESTS_SCHEDULES", "150"))
SEED = os.environ.get("BOLIDE_TESTS_SEED")
SHRINKS = os.environ.get("BOLIDE_TESTS_SHRINK", "1") == "1"

ids = st.sampled_from(IDS)
numbers = st.integers(0, 3)
nodes = st.integers(0, 1)
readers = st.integers(0, READERS - 1)


def step(kind: str, *args: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(kind), *args)


def one_of(*weighted: tuple[int, st.SearchStrategy[Step]]) -> st.SearchStrategy[Step]:
    """Choose by weights; ``st.one_of`` gives the branches of a branch the weight of branches."""
    choices = [strategy for weight, strategy in weighted for _ in range(weight)]
    return st.sampled_from(choices).flatmap(lambda strategy: strategy)


work = st.one_of(
    step("put", ids, numbers),
    step("put", ids, numbers),
    step("set", ids, numbers),
    step("push", ids, numbers),
    step("unset", ids),
    step("own", ids, st.sampled_from(USERS)),
    step("insert", ids, numbers),
    step("upsert", ids, numbers),
    step("delete", ids),
    step("clear", numbers),
    step("raise", numbers),
    step("bump", numbers),
    step("take", numbers),
    step("swap", ids, ids),
    step("move", ids, ids),
    step("flood", numbers),
    step("abort", ids),
    step("side", ids, numbers),
    step("unside", ids),
    step("note", ids, ids),
    step("unnote", ids),
)
calls = st.tuples(st.just("call"), readers, work).map(lambda s: (s[0], s[1], *s[2]))
beds = step("bed", ids, st.sampled_from(WARDS))
direct = one_of((25, work), (3, beds), (1, step("drop"))).map(lambda w: ("direct", *w))
names = st.sampled_from(NAMES)
users = st.sampled_from([*USERS, None])
sizes = st.sampled_from([0, 1, 40, 200, 1000])
steps = one_of(
    (16, calls),
    (10, direct),
    (9, step("subscribe", readers, names)),
    (3, step("stop", readers, numbers)),
    (18, step("turn", st.integers(1, 12))),
    (6, step("round trip", nodes, st.integers(1, 4))),
    (2, step("login", readers, users)),
    (2, step("reconnect", readers, nodes)),
    (2, step("lay", nodes, ids, numbers)),
    (1, step("take", nodes, ids)),
    (5, step("hold feed", nodes)),
    (6, step("hold reads", nodes)),
    (8, step("deliver", nodes)),
    (6, step("answer", nodes, numbers)),
    (3, step("hold both", nodes)),
    (2, step("release", nodes)),
    (4, step("lose", nodes)),
    (3, step("stall", readers, sizes)),
    (3, step("read", readers, sizes)),
    (2, step("drain", readers)),
    (6, step("come back", readers, nodes, st.integers(0, 7), st.integers(1, 3), st.booleans())),
    (3, step("ask", readers)),
    (3, step("repeat", readers, numbers)),
    (2, step("grant", users, st.sampled_from(WARDS))),
    (1, step("settle")),
)


def schedules_of(size: int) -> st.SearchStrategy[list[Step]]:
    """Return schedules that begin with clients and documents; left alone, lists stay short."""
    opening = st.lists(step("subscribe", readers, names), min_size=size, max_size=size + 4)
    documents = st.lists(direct, min_size=size, max_size=size + 4)
    then = st.lists(steps, min_size=10 * size, max_size=10 * size + 20)
    return st.tuples(opening, documents, then).map(lambda lists: [*lists[0], *lists[1], *lists[2]])


schedules = st.sampled_from([0, 1, 2, 3, 4, 4, 4]).flatmap(schedules_of)


def run(kind: str) -> Callable[[], None]:
    """Make the test of one kind of store."""

    @settings(
        max_examples=SCHEDULES,
        deadline=None,
        derandomize=SEED is None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if SHRINKS else [])],
        report_multiple_bugs=False,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(schedules)
    def check(steps: list[Step]) -> None:
        asyncio.run(run_schedule(kind, steps))

    return check


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_views_are_right_at_rest_and_on_the_way(kind: str) -> None:
    check = run(kind)
    if SEED is not None:
        number = random.SystemRandom().getrandbits(32) if SEED == "random" else int(SEED)
        print(f"BOLIDE_TESTS_SEED={number} repeats this run.")
        check = seed(number)(check)
    check()

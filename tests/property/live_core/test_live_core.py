"""Whatever happens in whatever order: views end right, and were right on the way.

``BOLIDE_TESTS_SCHEDULES`` is the number of schedules of each kind (150). With
``BOLIDE_TESTS_SEED`` they are drawn from that seed, and with ``BOLIDE_TESTS_SEED=random`` from a
new one, which is printed; without it they are the same in every run. ``BOLIDE_TESTS_SHRINK=0``
leaves a schedule that fails as it is.
"""

import asyncio
import gc
import os
import random
from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.driver_sockets import MAY_BE_LEFT
from tests.property.live_core.machine import READERS, Step, run_schedule
from tests.property.live_core.model import BEDS, IDS, NAMES, USERS, WARDS

SCHEDULES = int(os.environ.get("BOLIDE_TESTS_SCHEDULES", "150"))
SEED = os.environ.get("BOLIDE_TESTS_SEED")
SHRINKS = os.environ.get("BOLIDE_TESTS_SHRINK", "1") == "1"

ids = st.sampled_from(IDS)
numbers = st.integers(0, 3)
nodes = st.integers(0, 1)
readers = st.integers(0, READERS - 1)


def step(kind: str, *args: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(kind), *args)


Weighted: TypeAlias = tuple[int, st.SearchStrategy[Step]]


def one_of(*weighted: Weighted) -> st.SearchStrategy[Step]:
    """Choose by weights; ``st.one_of`` gives the branches of a branch the weight of branches."""
    choices = [strategy for weight, strategy in weighted for _ in range(weight)]
    return st.sampled_from(choices).flatmap(lambda strategy: strategy)


WORK: tuple[st.SearchStrategy[Step], ...] = (
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
PUT = WORK[0]
USERS_AND_NOBODY = st.sampled_from([*USERS, None])
WARD = st.sampled_from(WARDS)
SIZES = st.sampled_from([0, 1, 40, 200, 1000])
DAMAGE, CHUNK = st.integers(0, 7), st.integers(1, 3)

COMMON: tuple[Weighted, ...] = (
    (18, step("turn", st.integers(1, 12))),
    (6, step("round trip", nodes, st.integers(1, 4))),
    (1, step("settle")),
)
RARE: Mapping[str, tuple[Weighted, ...]] = {
    "stops": ((6, step("stop", readers, numbers)),),
    "users": ((4, step("login", readers, USERS_AND_NOBODY)),),
    "reconnects": ((4, step("reconnect", readers, nodes)),),
    "desks": ((4, step("lay", nodes, ids, numbers)), (2, step("take", nodes, ids))),
    "feeds": ((6, step("hold feed", nodes)), (9, step("deliver", nodes))),
    "reads": ((7, step("hold reads", nodes)), (7, step("answer", nodes, numbers))),
    "both": (
        (5, step("hold both", nodes)),
        (6, step("deliver", nodes)),
        (6, step("answer", nodes, numbers)),
        (2, step("release", nodes)),
    ),
    "losses": ((6, step("lose", nodes)),),
    "drops": ((3, st.just(("direct", "drop"))),),
    "slow readers": (
        (4, step("stall", readers, SIZES)),
        (4, step("read", readers, SIZES)),
        (3, step("drain", readers)),
    ),
    "resyncs": (
        (12, step("come back", readers, nodes, DAMAGE, CHUNK, st.booleans())),
        (3, step("ask", readers)),
        (3, step("settle")),
    ),
    "repeats": ((5, step("repeat", readers, numbers)), (3, step("reconnect", readers, nodes))),
    "wards": (
        (4, step("grant", USERS_AND_NOBODY, WARD)),
        (5, step("bed", ids, WARD).map(lambda w: ("direct", *w))),
        (3, step("subscribe", readers, st.just(BEDS))),
    ),
}


# Of these each schedule has one: they need what others left.
OFTEN = ("resyncs", "resyncs", "resyncs", "repeats", "slow readers", "wards", "reads")


@st.composite
def schedules(draw: st.DrawFn) -> list[Step]:
    """Draw a schedule of a few publications, a few kinds of writes and a few kinds of trouble.

    Everything at once hides more than it shows: one thing mends what another one broke. It
    begins with clients and documents, and its length is drawn first: left alone, lists stay short.
    """
    size = draw(st.sampled_from([0, 1, 2, 3, 4, 4, 4]))
    some = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    writes = draw(st.lists(st.sampled_from(WORK), max_size=8, unique=True))
    often = draw(st.sampled_from(OFTEN))
    some_more = draw(st.lists(st.sampled_from(list(RARE)), max_size=5, unique=True))
    troubles = dict.fromkeys([often, *some_more])
    subscribe = step("subscribe", readers, st.sampled_from(some))
    work = one_of(*((1, write) for write in (PUT, *writes)))
    calls = st.tuples(st.just("call"), readers, work).map(lambda s: (s[0], s[1], *s[2]))
    direct = work.map(lambda w: ("direct", *w))
    rare = (weighted for trouble in troubles for weighted in RARE[trouble])
    then = one_of(*COMMON, (16, calls), (10, direct), (8, subscribe), *rare)
    opening = draw(st.lists(subscribe, min_size=size, max_size=size + 4))
    documents = draw(st.lists(direct, min_size=size, max_size=size + 4))
    steps = draw(st.lists(then, min_size=10 * size, max_size=10 * size + 20))
    return [*opening, *documents, *steps]


def run(new_kind: Callable[[], str]) -> Callable[[], None]:
    """Make the test of one kind of store, which is asked for anew for each schedule."""

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
    @given(schedules())
    def check(steps: list[Step]) -> None:
        asyncio.run(run_schedule(new_kind(), steps))

    return check


# The driver forgets a socket if what waits for it is cancelled while it connects.
_MONGODB = pytest.param("mongodb", marks=MAY_BE_LEFT)


@pytest.mark.parametrize("kind", ["memory", "sqlite", _MONGODB])
def test_views_are_right_at_rest_and_on_the_way(kind: str, request: pytest.FixtureRequest) -> None:
    check = run(request.getfixturevalue("new_database") if kind == "mongodb" else lambda: kind)
    if SEED is not None:
        number = random.SystemRandom().getrandbits(32) if SEED == "random" else int(SEED)
        print(f"BOLIDE_TESTS_SEED={number} repeats this run.")
        check = seed(number)(check)
    check()
    gc.collect()

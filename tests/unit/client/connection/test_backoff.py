"""Backoff: the shared cases, and the bounds that hold for every setting."""

import json
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.client.connection.backoff import Backoff

VECTORS = Path(__file__).parents[3] / "vectors" / "backoff.json"


class Case(TypedDict):
    law: str
    attempt: int
    fraction: float
    delay_s: float


CASES: list[Case] = json.loads(VECTORS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["law"])
def test_shared_case(case: Case) -> None:
    delay = Backoff().delay_s(case["attempt"], case["fraction"])
    assert delay == pytest.approx(case["delay_s"])


@given(
    attempt=st.integers(0, 10_000),
    fraction=st.floats(0, 1, exclude_max=True),
    fuzz=st.floats(0, 1),
)
def test_delay_stays_within_the_jittered_cap(attempt: int, fraction: float, fuzz: float) -> None:
    delay = Backoff(fuzz=fuzz).delay_s(attempt, fraction)
    assert 0 < delay <= 300 * (1 + fuzz / 2)

"""Physiology: signs stay plausible, move together and come back to rest."""

from itertools import pairwise
from random import Random
from statistics import fmean

from hypothesis import given, settings
from hypothesis import strategies as st

from ward.physiology import Baseline, PatientModel, VitalSigns


def day(seed: int, seconds: int = 3_600) -> list[VitalSigns]:
    model = PatientModel(Baseline(), Random(seed))
    return [model.advance() for _ in range(seconds)]


@settings(max_examples=10, deadline=None)
@given(st.integers())
def test_signs_stay_in_the_range_of_the_living(seed: int) -> None:
    for signs in day(seed, 600):
        assert 30 <= signs.heart_rate <= 190
        assert 4 <= signs.respiration <= 45
        assert 70 <= signs.saturation <= 100
        assert signs.diastolic <= signs.systolic - 15
        assert 34 <= signs.temperature <= 41.5


def test_signs_change_every_few_seconds() -> None:
    readings = day(1, 60)
    assert sum(a != b for a, b in pairwise(readings)) > 50


def test_long_average_is_near_the_baseline() -> None:
    readings = [signs for seed in range(5) for signs in day(seed)]
    assert abs(fmean(signs.heart_rate for signs in readings) - 74) < 8
    assert 95 <= fmean(signs.saturation for signs in readings) <= 98


def test_heart_beats_faster_while_saturation_is_low() -> None:
    readings = [signs for seed in range(20) for signs in day(seed)]
    low = [signs.heart_rate for signs in readings if signs.saturation <= 92]
    high = [signs.heart_rate for signs in readings if signs.saturation >= 97]
    assert fmean(low) > fmean(high) + 4


def test_same_seed_gives_the_same_patient() -> None:
    assert day(7, 50) == day(7, 50)

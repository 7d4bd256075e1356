"""Warning score: the bands of NEWS2, edges included."""

from dataclasses import asdict
from typing import Any

import pytest

from ward.physiology import VitalSigns
from ward.warning_score import warning_score

WELL = VitalSigns(75, 15, 98, 125, 80, 36.8)


def test_a_well_person_scores_nothing() -> None:
    assert warning_score(WELL) == 0


@pytest.mark.parametrize(
    ("sign", "value", "points"),
    [
        ("respiration", 8, 3), ("respiration", 9, 1), ("respiration", 21, 2),
        ("respiration", 25, 3),
        ("saturation", 91, 3), ("saturation", 92, 2), ("saturation", 95, 1), ("saturation", 96, 0),
        ("systolic", 90, 3), ("systolic", 100, 2), ("systolic", 110, 1), ("systolic", 220, 3),
        ("heart_rate", 40, 3), ("heart_rate", 50, 1), ("heart_rate", 91, 1), ("heart_rate", 131, 3),
        ("temperature", 35.0, 3), ("temperature", 36.0, 1), ("temperature", 38.1, 1),
        ("temperature", 39.1, 2),
    ],
)  # fmt: skip
def test_each_sign_scores_by_its_band(sign: str, value: float, points: int) -> None:
    signs: dict[str, Any] = {**asdict(WELL), sign: value}
    assert warning_score(VitalSigns(**signs)) == points

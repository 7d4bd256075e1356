import pytest

from bench.figures.goals import GOALS, goal_for
from bench.outside import OUTSIDE_ROWS
from bench.rows import NODE_ROWS


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [(0.5, "stretch met"), (0.6, "stretch met"), (0.61, "met"), (0.85, "met"), (0.86, "missed")],
)
def test_a_figure_is_judged_by_goal_and_stretch(figure: float, verdict: str) -> None:
    goal = goal_for("fanout")
    assert goal is not None
    assert goal.verdict(figure) == verdict


def test_a_goal_without_stretch_is_met_or_missed() -> None:
    goal = goal_for("memory")
    assert goal is not None
    assert [goal.verdict(1.0), goal.verdict(41.0)] == ["met", "missed"]


def test_a_goal_is_shown_with_its_stretch_and_unit() -> None:
    assert [str(goal_for("fanout")), str(goal_for("memory"))] == ["<= 0.85x (0.6x)", "<= 40"]


def test_a_row_without_goal_has_none() -> None:
    assert goal_for("weather") is None


def test_every_row_of_ours_has_a_goal_for_the_same_reference() -> None:
    for row in NODE_ROWS:
        goal = goal_for(row.name)
        assert goal is not None
        assert goal.reference == row.reference


def test_every_outside_row_has_a_goal() -> None:
    assert OUTSIDE_ROWS.keys() <= {goal.row for goal in GOALS}

import pytest

from bench.balancer_rows import BALANCER_ROWS
from bench.figures.goals import goal_for
from bench.rows import Row


@pytest.mark.parametrize("row", BALANCER_ROWS, ids=lambda row: str(row.name))
def test_each_row_has_a_goal_and_measures_what_that_divides_by(row: Row) -> None:
    goal = goal_for(row.name)
    assert goal is not None
    names = [server.name for server in row.servers]
    assert row.reference in names
    assert goal.reference in (None, row.reference)
    assert len(set(names)) == len(names)
    assert any(server.is_ours for server in row.servers)

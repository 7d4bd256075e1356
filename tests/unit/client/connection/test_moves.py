"""When a client obeys a server that asks it to move."""

import pytest

from bolide.client.connection.moves import (
    BETWEEN_S,
    MAX_WITHIN_S,
    MOST_AT_ONCE,
    Moves,
    Plan,
)


@pytest.mark.parametrize(("fraction", "start"), [(0.0, 100.0), (0.5, 115.0)])
def test_clients_spread_over_the_time_that_the_server_gives(fraction: float, start: float) -> None:
    assert Moves().asked(40, 100.0, fraction) == Plan(start, 140.0)


@pytest.mark.parametrize(("within_s", "end"), [(-5.0, 100.0), (1e9, 100.0 + MAX_WITHIN_S)])
def test_server_cannot_ask_for_any_time_whatever(within_s: float, end: float) -> None:
    plan = Moves().asked(within_s, 100.0, 0.999)
    assert plan is not None
    assert plan.end == end
    assert 100.0 <= plan.start <= end


def test_five_nodes_may_ask_one_after_the_other_and_then_one_in_thirty_seconds() -> None:
    moves = Moves()
    for number in range(MOST_AT_ONCE):
        assert moves.asked(10, 100.0 + number, 0.0) is not None
    assert moves.asked(10, 100.0 + BETWEEN_S - 1, 0.0) is None
    assert moves.asked(10, 100.0 + BETWEEN_S, 0.0) is not None
    assert moves.asked(10, 100.0 + BETWEEN_S, 0.0) is None
    assert moves.asked(10, 100.0 + 2 * BETWEEN_S, 0.0) is not None


def test_no_request_for_long_does_not_save_up_more() -> None:
    moves = Moves()
    assert moves.asked(10, 100.0, 0.0) is not None
    assert [moves.asked(10, 1e6, 0.0) is None for _ in range(7)] == [False] * 5 + [True] * 2

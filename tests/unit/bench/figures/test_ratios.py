import pytest

from bench.figures.ratios import Spread, paired_ratios, spread_of


def test_the_spread_of_an_odd_number_of_figures_is_made_of_figures() -> None:
    assert spread_of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)


def test_quartiles_lie_on_straight_lines_between_neighbours() -> None:
    assert spread_of([1.0, 2.0, 3.0, 4.0]) == Spread(2.5, 1.75, 3.25, 4)


def test_one_figure_is_its_own_spread() -> None:
    assert spread_of([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_no_figure_has_no_spread() -> None:
    with pytest.raises(ValueError, match="at least one"):
        spread_of([])


def test_each_figure_is_divided_by_the_reference_of_its_own_round() -> None:
    # The machine was half as fast in the second round; the ratio does not notice.
    assert paired_ratios([6.0, 12.0], [12.0, 24.0]) == [0.5, 0.5]


def test_a_round_without_one_of_the_two_gives_no_ratio() -> None:
    assert paired_ratios([None, 3.0, 4.0], [1.0, None, 2.0]) == [2.0]


def test_a_reference_of_zero_gives_no_ratio() -> None:
    assert paired_ratios([1.0], [0.0]) == []


def test_rounds_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("spread", "shown"),
    [
        (Spread(0.8449, 0.8, 0.91, 9), "0.845 [0.800..0.910]"),
        (Spread(45.14, 44.0, 122.4, 9), "45.1 [44.0..122]"),
        (Spread(0.0, 0.0, 0.00123, 9), "0 [0..0.0012]"),
    ],
)
def test_a_spread_is_shown_with_three_digits(spread: Spread, shown: str) -> None:
    assert str(spread) == shown

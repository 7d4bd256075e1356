from collections.abc import Sequence

import pytest

from bolide.core.minimongo.branches import Branch
from bolide.core.minimongo.selectors.conditions import (
    EVERYTHING,
    NOTHING,
    Arrays,
    Condition,
    Match,
    ValueCondition,
    all_of,
    any_of,
    inverted,
    is_missing,
    none_of,
    of_elements,
)
from bolide.core.values import UNDEFINED


def answering(match: Match) -> ValueCondition:
    return Condition(lambda _: match.matched, lambda _: match)


def answers(condition: ValueCondition, branches: Sequence[Branch] = ()) -> Match:
    """Return the complete answer, after checking that the fast one agrees."""
    match = condition.match(branches)
    assert condition.accepts(None) == match.matched
    return match


AT_1 = answering(Match(True, (1,)))
AT_2 = answering(Match(True, (2,)))
NEAR = answering(Match(True, distance=3.0))
FAR = answering(Match(True, distance=7.0))


def test_a_match_is_true_if_it_matched() -> None:
    assert Match(True)
    assert not Match(False)


def test_everything_and_nothing() -> None:
    assert answers(EVERYTHING)
    assert not answers(NOTHING)


def test_all_of_none_holds() -> None:
    assert answers(all_of([]))


def test_all_of_keeps_the_last_indices_and_the_first_distance() -> None:
    assert answers(all_of([AT_1, EVERYTHING])) == Match(True, (1,))
    assert answers(all_of([AT_1, NEAR, AT_2, FAR])) == Match(True, (2,), 3.0)
    assert answers(all_of([EVERYTHING, EVERYTHING])) == Match(True)


def test_what_does_not_match_has_neither_indices_nor_distance() -> None:
    assert answers(all_of([AT_1, NEAR, NOTHING])) == Match(False)


def test_one_condition_stays_itself() -> None:
    assert all_of([AT_1]) is AT_1
    assert any_of([AT_1]) is AT_1


def test_any_of_several_does_not_say_where() -> None:
    assert answers(any_of([NOTHING, AT_1])) == Match(True)
    assert answers(any_of([NOTHING, NOTHING])) == Match(False)


def test_inverting_forgets_where() -> None:
    assert answers(inverted(AT_1)) == Match(False)
    assert answers(inverted(NOTHING)) == Match(True)
    assert answers(none_of([NOTHING, AT_1])) == Match(False)


@pytest.mark.parametrize(
    ("arrays", "value", "match"),
    [
        (Arrays.ITSELF_OR_ELEMENT, 5, Match(True)),
        (Arrays.ITSELF_OR_ELEMENT, 6, Match(False)),
        (Arrays.ITSELF_OR_ELEMENT, [6, 5], Match(True, (1,))),
        (Arrays.ITSELF_OR_ELEMENT, [6], Match(False)),
        (Arrays.ELEMENT, 5, Match(True)),
        (Arrays.ELEMENT, [6, 5], Match(True, (1,))),
        (Arrays.ITSELF, 5, Match(True)),
        (Arrays.ITSELF, [6, 5], Match(False)),
    ],
)
def test_arrays_are_tested_as_asked(arrays: Arrays, value: object, match: Match) -> None:
    condition = of_elements(lambda element: element == 5, arrays)
    assert condition.match([Branch(value)]) == match
    assert condition.accepts(value) == match.matched


def test_an_array_can_fit_itself() -> None:
    condition = of_elements(lambda value: value == [6])
    assert condition.accepts([6])
    assert condition.match([Branch([6])]) == Match(True)
    assert not of_elements(lambda value: value == [6], Arrays.ELEMENT).accepts([6])


def test_the_first_branch_that_fits_says_where() -> None:
    condition = of_elements(lambda value: value == 5)
    branches = [Branch(6, (0,)), Branch(5, (1, ~0)), Branch(5, (2,))]
    assert condition.match(branches) == Match(True, (1, 0))


def test_null_and_undefined_are_missing() -> None:
    assert is_missing(None)
    assert is_missing(UNDEFINED)
    assert not is_missing(0)

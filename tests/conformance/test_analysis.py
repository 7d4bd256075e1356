"""Analysis of selectors and modifiers: Meteor's own rows, without ``can_become_true``."""

from collections.abc import Callable

# The values of rows have any type.
from typing import Any, Final

from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.analysis import (
    affected_by_modifier,
    combine_selector_projection,
    combine_sort_projection,
    selector_paths,
)

ANSWERS: Final[dict[str, Callable[[Row], Any]]] = {
    "selector_paths": lambda row: sorted(selector_paths(row["selector"])),
    "affected_by_modifier": lambda row: affected_by_modifier(row["selector"], row["mod"]),
    "combine_selector_projection": lambda row: combine_selector_projection(
        row["spec"], row["projection"]
    ),
    "combine_sort_projection": lambda row: combine_sort_projection(row["spec"], row["projection"]),
}


@for_each(load("extra"))
def test_answers_as_meteor_does(row: Row) -> None:
    expected = row["expect"]
    if row["kind"] == "selector_paths":
        expected = sorted(expected)
    with passing(row):
        assert ANSWERS[row["kind"]](row) == expected

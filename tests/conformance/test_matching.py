"""Selectors: every row of Meteor's own tests and of the random ones."""

from typing import Final

import pytest
from tests.conformance.rows import JSON, Row, load

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher


def _has_javascript(tree: JSON) -> bool:
    if isinstance(tree, dict):
        return "$where" in tree or any(map(_has_javascript, tree.values()))
    return isinstance(tree, list) and any(map(_has_javascript, tree))


# An array compared with an array. MongoDB compares them as wholes; minimongo lets no array fit. No
# handwritten row asks for it, so MongoDB decides, since the same selector runs there as well.
ARRAY_INEQUALITY: Final = {"fuzz_match:1962": False}

# The texts in $where are JavaScript, which is not run here.
ROWS: Final = [
    row for row in load("match") + load("fuzz_match") if not _has_javascript(row.raw["selector"])
]


def _refused(row: Row) -> bool:
    return row.raw.get("expect") == "error" or "error" in row


@pytest.mark.parametrize("row", [row for row in ROWS if not _refused(row)], ids=str)
def test_matches_what_meteor_matches(row: Row) -> None:
    matcher = Matcher(row["selector"])
    expected = ARRAY_INEQUALITY.get(str(row), row["expect"])
    assert matcher.matches(row["doc"]) == expected
    assert matcher.match(row["doc"]).matched == expected


@pytest.mark.parametrize("row", [row for row in ROWS if _refused(row)], ids=str)
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with pytest.raises(MinimongoError):
        Matcher(row["selector"])

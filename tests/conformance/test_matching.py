"""Selectors: every row of Meteor's own tests and of the random ones."""

from typing import Final

import pytest
from tests.conformance.exceptions import LEFT_OUT, REFUTED_BY_MONGOD
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher

ROWS: Final = load("match") + load("fuzz_match")


def _is_refused(row: Row) -> bool:
    return row.raw.get("expect") == "error" or "error" in row


def _assert_matches(row: Row, expected: bool) -> None:
    matcher = Matcher(row["selector"])
    assert matcher.matches(row["doc"]) == expected
    assert matcher.match(row["doc"]).matched == expected


@for_each([row for row in ROWS if not _is_refused(row)])
def test_matches_what_meteor_matches(row: Row) -> None:
    with passing(row):
        _assert_matches(row, row["expect"])


@for_each([row for row in ROWS if _is_refused(row)])
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with passing(row), pytest.raises(MinimongoError):
        Matcher(row["selector"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in REFUTED_BY_MONGOD], ids=str)
def test_matches_what_mongod_matches(row: Row) -> None:
    _assert_matches(row, not row["expect"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in LEFT_OUT], ids=str)
def test_javascript_is_refused(row: Row) -> None:
    with pytest.raises(MinimongoError, match=r"\$where is not supported"):
        Matcher(row["selector"])

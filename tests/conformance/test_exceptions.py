"""The exceptions themselves: few, real, and the only rows that no test passes."""

import importlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest
from tests.conformance.exceptions import (
    DESIGN_WINS,
    EXCEPTIONS,
    LEFT_OUT,
    REFUTED_BY_MONGOD,
    Key,
)
from tests.conformance.rows import CHECKED, FOLDER, Row, load, passing

COUNTS: Final = {
    "match": 1139,
    "modify": 373,
    "sort": 370,
    "projection": 95,
    "find": 810,
    "extra": 171,
    "mergebox": 19,
    "oplog_v2": 21,
    "ejson": 106,
    "ids": 27,
    "random": 37,
    "ddp_codec": 24,
    "fuzz_match": 2000,
    "fuzz_modify": 1200,
    "fuzz_compare": 600,
    "fuzz_projection": 400,
    "fuzz_sort": 400,
    "fuzz_observe": 300,
    "fuzz_mergebox": 300,
}
"""Rows of each file, as the README of the folder tells."""

GROUPS: Final[dict[str, dict[Key, str]]] = {
    "EXCEPTIONS": EXCEPTIONS,
    "REFUTED_BY_MONGOD": REFUTED_BY_MONGOD,
    "DESIGN_WINS": DESIGN_WINS,
    "LEFT_OUT": LEFT_OUT,
}
ROWS: Final[dict[Key, Row]] = {row.key: row for name in COUNTS for row in load(name)}


def test_the_folder_holds_the_rows_that_its_readme_tells() -> None:
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == COUNTS.keys()
    assert {name: sum(key[0] == name for key in ROWS) for name in COUNTS} == COUNTS
    assert len(ROWS) == 8392


def test_every_row_is_checked_but_those_left_out() -> None:
    for module in _modules():
        importlib.import_module(module)
    assert ROWS.keys() - CHECKED == LEFT_OUT.keys()


def _modules() -> Iterator[str]:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        yield f"tests.conformance.{path.stem}"


def test_at_most_twenty_rows_are_exceptions() -> None:
    assert len(EXCEPTIONS) <= 20


def test_the_design_overrules_only_windows_without_order() -> None:
    refused = {key for key, row in ROWS.items() if "ordered observe" in str(row.raw.get("expect"))}
    assert DESIGN_WINS.keys() == refused


def test_only_the_oplog_one_analysis_and_javascript_are_left_out() -> None:
    assert LEFT_OUT.keys() == {
        key
        for key, row in ROWS.items()
        if key[0] == "oplog_v2"
        or row.raw.get("kind") == "can_become_true"
        or (key[0] == "match" and "$where" in str(row.raw["selector"]))
    }


def test_mongod_refutes_no_row_that_meteors_authors_asserted() -> None:
    assert not [
        row for key in REFUTED_BY_MONGOD if (row := ROWS[key]).raw.get("origin") == "assert"
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_every_named_row_exists_and_has_a_reason(group: str) -> None:
    assert GROUPS[group].keys() <= ROWS.keys()
    assert all(GROUPS[group].values())


@pytest.mark.parametrize(("one", "other"), [*combinations(GROUPS, 2)])
def test_no_row_is_in_two_groups(one: str, other: str) -> None:
    assert GROUPS[one].keys().isdisjoint(GROUPS[other])


@pytest.mark.parametrize("key", [*EXCEPTIONS, *DESIGN_WINS])
def test_an_exception_that_passes_is_a_failure(key: Key) -> None:
    with pytest.raises(pytest.fail.Exception, match="take it out"), passing(ROWS[key]):
        pass


def test_a_row_that_is_no_exception_must_pass() -> None:
    row = ROWS["match", 1]
    with pytest.raises(AssertionError), passing(row):
        raise AssertionError
    with passing(row):
        pass

"""The order of values and documents: every row of Meteor's own tests and of the random ones."""

import itertools
from typing import Final

import pytest
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, EJSONValue

SORT: Final = load("sort")
RANDOM: Final = load("fuzz_sort")
VALUES: Final = load("fuzz_compare")
# What mongod answers; all other refuted rows are ties there.
NO_TIES: Final = {
    "fuzz_sort:163": -1,
    "fuzz_sort:184": -1,
    "fuzz_sort:201": 1,
    "fuzz_sort:222": 1,
    "fuzz_sort:339": 1,
    "fuzz_sort:379": 1,
}


def _of_type(name: str) -> list[Row]:
    rows = [row for row in SORT if row["type"] == name]
    assert rows
    return rows


@for_each(_of_type("value_order"))
def test_values_are_in_strict_order(row: Row) -> None:
    values: list[EJSONValue] = row["values"]
    with passing(row):
        for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
            assert compare(a, b) == (i > j) - (i < j)


@for_each(_of_type("compare") + VALUES)
def test_values_compare_as_in_meteor(row: Row) -> None:
    with passing(row):
        assert compare(row["a"], row["b"]) == row["expect"]


@pytest.mark.parametrize("row", [row for row in VALUES if row.key in REFUTED_BY_MONGOD], ids=str)
def test_objects_compare_as_in_mongod(row: Row) -> None:
    assert compare(row["a"], row["b"]) == -row["expect"]


@for_each(_of_type("doc_order"))
def test_documents_are_in_strict_order(row: Row) -> None:
    sorter = Sorter(row["sort"])
    documents: list[Document] = row["docs"]
    with passing(row):
        for (i, a), (j, b) in itertools.product(enumerate(documents), repeat=2):
            assert sorter.compare(a, b) == (i > j) - (i < j)


@for_each(_of_type("bad_sort_spec"))
def test_bad_specifications_are_refused(row: Row) -> None:
    with passing(row), pytest.raises(MinimongoError):
        Sorter(row["sort"])


@for_each(_of_type("sort_keys"))
def test_documents_have_the_sort_keys_of_meteor(row: Row) -> None:
    sorter = Sorter(row["sort"])
    with passing(row):
        if row.raw.get("expect") == "error":
            with pytest.raises(MinimongoError):
                sorter.keys(row["doc"])
        else:
            assert sorted(sorter.keys(row["doc"])) == [tuple(key) for key in row["keys"]]


def _assert_order(row: Row, expected: int) -> None:
    sorter = Sorter(row["sort"])
    assert sorter.compare(row["a"], row["b"]) == expected
    assert sorter.compare(row["b"], row["a"]) == -expected


@for_each(RANDOM)
def test_documents_compare_as_in_meteor(row: Row) -> None:
    with passing(row):
        if "error" in row:
            with pytest.raises(MinimongoError):
                Sorter(row["sort"]).compare(row["a"], row["b"])
        else:
            _assert_order(row, row["expect"])


@pytest.mark.parametrize("row", [row for row in RANDOM if row.key in REFUTED_BY_MONGOD], ids=str)
def test_documents_compare_as_in_mongod(row: Row) -> None:
    _assert_order(row, NO_TIES.get(str(row), 0))

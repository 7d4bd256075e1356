"""The order of values and documents: every row of Meteor's own tests and of the random ones."""

import itertools
from typing import Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, EJSONValue

# MongoDB sorts null like what is missing, and an empty array before both; for minimongo an empty
# array is missing, and null comes after both. No handwritten row asks for it, so MongoDB decides:
# the same sort with a limit runs there as well, and must give the same documents.
NULLS: Final[dict[str, int]] = {
    **dict.fromkeys(
        (f"fuzz_sort:{n}" for n in (67, 93, 102, 109, 157, 210, 312, 326, 363, 368)), 0
    ),
    **dict.fromkeys((f"fuzz_sort:{n}" for n in (373, 375, 376, 378)), 0),
    **dict.fromkeys((f"fuzz_sort:{n}" for n in (163, 184)), -1),
    **dict.fromkeys((f"fuzz_sort:{n}" for n in (201, 222)), 1),
}

SORT: Final = load("sort")


def _of_type(name: str) -> list[Row]:
    rows = [row for row in SORT if row["type"] == name]
    assert rows
    return rows


@pytest.mark.parametrize("row", _of_type("value_order"), ids=str)
def test_values_are_in_strict_order(row: Row) -> None:
    values: list[EJSONValue] = row["values"]
    for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
        assert compare(a, b) == (i > j) - (i < j)


@pytest.mark.parametrize("row", _of_type("compare") + load("fuzz_compare"), ids=str)
def test_values_compare_as_in_meteor(row: Row) -> None:
    assert compare(row["a"], row["b"]) == row["expect"]


@pytest.mark.parametrize("row", _of_type("doc_order"), ids=str)
def test_documents_are_in_strict_order(row: Row) -> None:
    sorter = Sorter(row["sort"])
    documents: list[Document] = row["docs"]
    for (i, a), (j, b) in itertools.product(enumerate(documents), repeat=2):
        assert sorter.compare(a, b) == (i > j) - (i < j)


@pytest.mark.parametrize("row", _of_type("bad_sort_spec"), ids=str)
def test_bad_specifications_are_refused(row: Row) -> None:
    with pytest.raises(MinimongoError):
        Sorter(row["sort"])


@pytest.mark.parametrize("row", _of_type("sort_keys"), ids=str)
def test_documents_have_the_sort_keys_of_meteor(row: Row) -> None:
    sorter = Sorter(row["sort"])
    if row.raw.get("expect") == "error":
        with pytest.raises(MinimongoError):
            sorter.keys(row["doc"])
    else:
        assert sorted(sorter.keys(row["doc"])) == [tuple(key) for key in row["keys"]]


@pytest.mark.parametrize("row", load("fuzz_sort"), ids=str)
def test_documents_compare_as_in_meteor(row: Row) -> None:
    sorter = Sorter(row["sort"])
    if "error" in row:
        with pytest.raises(MinimongoError):
            sorter.compare(row["a"], row["b"])
    else:
        expected: int = NULLS[str(row)] if str(row) in NULLS else row["expect"]
        assert sorter.compare(row["a"], row["b"]) == expected
        assert sorter.compare(row["b"], row["a"]) == -expected

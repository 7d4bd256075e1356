from typing import Any

import pytest
from pymongo.errors import WriteError

from bolide.core.values import Document
from bolide.server.stores.base import IndexSpec
from bolide.server.stores.embedded.unique import UniqueIndex, index_name


def keys_of(document: Document, *paths: str, sparse: bool = False) -> list[tuple[Any, ...]]:
    spec = IndexSpec(keys=tuple((path, 1) for path in paths), name="i", unique=True, sparse=sparse)
    return list(UniqueIndex(spec).keys(document).values())


def test_names_are_made_as_mongodb_makes_them() -> None:
    assert index_name((("ward", 1), ("bed.no", -1))) == "ward_1_bed.no_-1"


# What mongod's key generator makes; an empty array is shown as null but has a key of its own.
KEYS: list[tuple[Document, tuple[str, ...], list[tuple[Any, ...]]]] = [
    ({"a": 1}, ("a",), [(1,)]),
    ({}, ("a",), [(None,)]),
    ({"a": None}, ("a",), [(None,)]),
    ({"a": [1, 2, 1.0]}, ("a",), [(1.0,), (2,)]),
    ({"a": []}, ("a",), [(None,)]),
    ({"a": [[1, 2], 3]}, ("a",), [([1, 2],), (3,)]),
    ({"a": {"b": 1}}, ("a",), [({"b": 1},)]),
    ({"a": {"b": 1}}, ("a.b",), [(1,)]),
    ({"a": 5}, ("a.b",), [(None,)]),
    ({"a": [{"b": 1}, {"b": 2}]}, ("a.b",), [(1,), (2,)]),
    ({"a": [{"b": 1}, {}, 7]}, ("a.b",), [(1,), (None,)]),
    ({"a": [{"b": [1, 2]}]}, ("a.b",), [(1,), (2,)]),
    ({"a": []}, ("a.b",), [(None,)]),
    ({"a": [5, 6]}, ("a.1",), [(6,)]),
    ({"a": [{"b": 1}, {"b": 2}]}, ("a.1.b",), [(2,)]),
    ({"a": [5, 6]}, ("a.7",), [(None,)]),
    ({"a": {"1": 6}}, ("a.1",), [(6,)]),
    ({"a": 1, "b": 2}, ("a", "b"), [(1, 2)]),
    ({"a": [1, 2], "b": 3}, ("a", "b"), [(1, 3), (2, 3)]),
    ({"a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]}, ("a.b", "a.c"), [(1, 2), (3, 4)]),
    ({"a": [{"b": [1, 2], "c": 3}]}, ("a.b", "a.c"), [(1, 3), (2, 3)]),
    ({"a": [{"b": 1}]}, ("a", "a.b"), [({"b": 1}, 1)]),
]


@pytest.mark.parametrize(("document", "paths", "keys"), KEYS)
def test_a_document_has_the_keys_that_mongodb_gives_it(
    document: Document, paths: tuple[str, ...], keys: list[tuple[Any, ...]]
) -> None:
    assert keys_of(document, *paths) == keys


def test_null_and_nothing_share_a_key_and_an_empty_array_does_not() -> None:
    index = UniqueIndex(IndexSpec(keys=(("a", 1),), unique=True))
    assert index.keys({}).keys() == index.keys({"a": None}).keys()
    assert index.keys({"a": []}).keys() != index.keys({}).keys()
    assert index.keys({"a": []}).keys() == index.keys({"a": []}).keys()


def test_a_sparse_index_leaves_out_documents_without_its_paths() -> None:
    assert keys_of({}, "a", sparse=True) == []
    assert keys_of({"a": None}, "a", sparse=True) == [(None,)]
    assert keys_of({"b": 1}, "a", "b", sparse=True) == [(None, 1)]
    assert keys_of({"c": 1}, "a.x", "b.y", sparse=True) == []


def test_parallel_arrays_cannot_be_indexed() -> None:
    with pytest.raises(WriteError, match=r"parallel arrays \[a\] \[b.c\]") as caught:
        keys_of({"a": [1], "b": {"c": [2]}}, "a", "b.c")
    assert caught.value.code == 171


def test_key_value_names_the_paths() -> None:
    index = UniqueIndex(IndexSpec(keys=(("a", 1), ("b", -1)), unique=True))
    assert index.key_value((1, None)) == {"a": 1, "b": None}

"""Specifications: every way that PyMongo takes, one way to the store."""

import re
from typing import Any

import pytest

from bolide.core.values import Regex
from bolide.server.collections.specification import (
    ProjectionSpec,
    SortSpec,
    copied,
    count_of,
    document_of,
    projection_of,
    selector_of,
    sort_of,
)


@pytest.mark.parametrize(
    ("spec", "pairs"),
    [
        (None, ()),
        ("bed", (("bed", 1),)),
        ([("bed", 1), ("name", -1)], (("bed", 1), ("name", -1))),
        (["bed", ("name", -1)], (("bed", 1), ("name", -1))),
        ({"bed": 1, "name": -1.0}, (("bed", 1), ("name", -1))),
    ],
)
def test_sort_orders_become_pairs(
    spec: SortSpec | None, pairs: tuple[tuple[str, int], ...]
) -> None:
    assert sort_of(spec) == pairs


@pytest.mark.parametrize("direction", [0, 2, "text"])
def test_a_direction_is_1_or_minus_1(direction: Any) -> None:
    with pytest.raises(ValueError, match="direction of bed must be 1 or -1"):
        sort_of([("bed", direction)])


@pytest.mark.parametrize(
    ("spec", "projection"),
    [
        (None, None),
        ({"notes": 0}, {"notes": 0}),
        (["bed", "name"], {"bed": 1, "name": 1}),
        ([], {"_id": 1}),
    ],
)
def test_names_become_a_projection(
    spec: ProjectionSpec | None, projection: dict[str, Any] | None
) -> None:
    assert projection_of(spec) == projection


def test_selectors_are_normalized_copies() -> None:
    given: dict[str, Any] = {"name": re.compile("^a"), "in": (1, 2)}
    assert selector_of(given) == {"name": Regex("^a"), "in": [1, 2]}
    assert selector_of(None) == {}


@pytest.mark.parametrize("given", ["id", [("a", 1)], 5])
def test_what_is_no_mapping_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="a selector must be a mapping such as a dict, not "):
        selector_of(given)


def test_a_refused_document_is_not_quoted() -> None:
    with pytest.raises(TypeError) as caught:
        document_of({"name": {"Aunt Emmy"}}, "a document")
    assert "Emmy" not in str(caught.value)
    assert "name" in str(caught.value)


def test_a_copy_shares_no_container() -> None:
    original: dict[str, Any] = {"a": [{"b": 1}], "c": "d"}
    copy = copied(original)
    assert copy == original
    copy["a"][0]["b"] = 2
    copy["a"].append(3)
    assert original == {"a": [{"b": 1}], "c": "d"}


def test_counts_are_not_negative() -> None:
    assert count_of(0, "skip") == 0
    with pytest.raises(ValueError, match="limit must not be negative"):
        count_of(-1, "limit")

"""Selectors and sorts on random values: the two forms of an answer agree, and orders are orders."""

import contextlib
import itertools
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.regexes.regex import regex_test
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Decimal128, Int64, ObjectId, equals

NAMES: Final = st.sampled_from(["a", "b", "0", "1"])
PATHS: Final = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
SCALARS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-3, 3).map(Int64),
    st.floats(width=16),
    st.integers(-3, 3).map(lambda number: Decimal128(str(number))),
    st.sampled_from(["", "a", "b", "ab"]),
    st.sampled_from([b"", b"a", ObjectId("0" * 24), datetime(2024, 1, 1, tzinfo=UTC)]),
)


def containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3) | st.dictionaries(NAMES, values, max_size=3)


VALUES: Final = st.recursive(SCALARS, containers, max_leaves=6)
DOCUMENTS: Final = st.dictionaries(NAMES, VALUES, max_size=4)
OPERATORS: Final = st.one_of(
    st.dictionaries(
        st.sampled_from(["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"]), VALUES, min_size=1
    ),
    st.fixed_dictionaries({"$in": st.lists(VALUES, max_size=3)}),
    st.fixed_dictionaries({"$all": st.lists(VALUES, max_size=2)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.fixed_dictionaries({"$size": st.integers(0, 2)}),
    st.fixed_dictionaries({"$type": st.sampled_from(["number", "string", "array", "object"])}),
    st.fixed_dictionaries({"$elemMatch": st.dictionaries(PATHS, VALUES, max_size=2)}),
)
CONDITIONS: Final = VALUES | OPERATORS | st.fixed_dictionaries({"$not": OPERATORS})


def combined(selectors: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["$and", "$or", "$nor"])
    return st.dictionaries(names, st.lists(selectors, min_size=1, max_size=2), min_size=1)


SELECTORS: Final = st.recursive(
    st.dictionaries(PATHS, CONDITIONS, max_size=2), combined, max_leaves=3
)
SORTS: Final = st.dictionaries(PATHS, st.sampled_from([1, -1]), min_size=1, max_size=2)


@given(selector=SELECTORS, document=DOCUMENTS)
def test_the_fast_answer_is_the_complete_one(
    selector: dict[str, Any], document: dict[str, Any]
) -> None:
    matcher = Matcher(selector)
    match = matcher.match(document)
    assert matcher.matches(document) == match.matched
    assert match.matched or match.array_indices is None


@given(selector=SELECTORS, document=DOCUMENTS)
def test_nor_is_the_opposite(selector: dict[str, Any], document: dict[str, Any]) -> None:
    matches = Matcher(selector).matches(document)
    assert Matcher({"$nor": [selector]}).matches(document) != matches
    assert Matcher({"$and": [selector, selector]}).matches(document) == matches


@given(document=DOCUMENTS, name=NAMES)
def test_a_document_matches_its_own_fields(document: dict[str, Any], name: str) -> None:
    assert Matcher({name: {"$eq": document.get(name)}}).matches(document)


@given(values=st.lists(VALUES, max_size=6))
def test_values_have_a_total_order(values: list[Any]) -> None:
    ordered = sorted(values, key=cmp_to_key(compare))
    for i, low in enumerate(ordered):
        for high in ordered[i:]:
            assert compare(low, high) <= 0
            assert compare(high, low) == -compare(low, high)


@given(a=VALUES, b=VALUES)
def test_equal_values_are_a_tie(a: Any, b: Any) -> None:
    if equals(a, b, key_order=True):
        assert compare(a, b) == 0


@given(documents=st.lists(DOCUMENTS, max_size=5), sort=SORTS, selector=SELECTORS)
def test_a_query_returns_what_matches_in_order(
    documents: list[dict[str, Any]], sort: dict[str, int], selector: dict[str, Any]
) -> None:
    matcher, sorter = Matcher(selector), Sorter(sort)
    # Two arrays at once have no order.
    with contextlib.suppress(MinimongoError):
        found = run_query(documents, matcher=matcher, sorter=sorter)
        assert len(found) == sum(map(matcher.matches, documents))
        pairs = itertools.pairwise(found)
        assert all(sorter.compare(first, second) <= 0 for first, second in pairs)


@given(pattern=st.text(r"ab1\\/dDwWbBsuxk()[]{}<>?:=!|*+^$.,-", max_size=24), text=st.text("ab1 {"))
@settings(deadline=None)
def test_a_pattern_is_refused_or_runs(pattern: str, text: str) -> None:
    with contextlib.suppress(MinimongoError):
        assert regex_test(pattern)(text) in (True, False)

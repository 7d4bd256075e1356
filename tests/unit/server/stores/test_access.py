"""Access filters: what is added to a selector, and which modifiers may leave the scopes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier
from bolide.core.values import Document
from bolide.server.stores.access import AccessRefused, effective_selector, is_refused, restricted
from bolide.server.stores.base import AccessFilter, Delete, Insert, Query, Update

SEVEN = AccessFilter("ward", frozenset({"7"}))
ONLY = {"ward": {"$in": ["7"]}, "ward.0": {"$exists": False}}

SCOPES = st.sampled_from(["7", "8"])
WARDS = st.one_of(
    SCOPES, st.lists(SCOPES, max_size=2), st.none(), st.just(7), st.dictionaries(SCOPES, SCOPES)
)


def test_without_a_filter_the_selector_stays_itself() -> None:
    query = Query(collection="beds", selector={"n": 1})
    assert effective_selector(query) is query.selector


CONJUNCTS: list[tuple[Document, Document]] = [
    ({}, ONLY),
    ({"_id": "a", "n": 1}, {"_id": "a", "n": 1, **ONLY}),
    ({"$and": [{"n": 1}]}, {"$and": [{"n": 1}], **ONLY}),
    ({"ward": "7"}, {"ward": "7", "$and": [ONLY]}),
    ({"ward": "7", "$and": [{"n": 1}]}, {"ward": "7", "$and": [{"n": 1}, ONLY]}),
    ({"ward.0": "7"}, {"ward.0": "7", "$and": [ONLY]}),
    ({"ward": "7", "$and": []}, {"$and": [{"ward": "7", "$and": []}, ONLY]}),
    ({"ward": "7", "$and": 5}, {"$and": [{"ward": "7", "$and": 5}, ONLY]}),
]


@pytest.mark.parametrize(("selector", "expected"), CONJUNCTS)
def test_the_filter_is_one_more_conjunct(selector: Document, expected: Document) -> None:
    delete = Delete(collection="beds", selector=selector, access=SEVEN)
    assert effective_selector(delete) == expected


def test_the_order_of_the_scopes_does_not_matter() -> None:
    one = restricted({}, AccessFilter("ward", frozenset(["b", "a", "c"])))
    assert one["ward"] == {"$in": ["a", "b", "c"]}


@given(WARDS, st.frozensets(SCOPES))
def test_the_selector_and_the_filter_agree(ward: Any, scopes: frozenset[str]) -> None:
    access = AccessFilter("ward", scopes)
    matcher = Matcher(restricted({}, access))
    for document in ({"_id": 1, "ward": ward}, {"_id": 1}):
        assert matcher.matches(document) == access.admits(document)


OPERATORS = st.sampled_from(
    ["$set", "$setOnInsert", "$unset", "$rename", "$push", "$pull", "$max", "$min", "$inc"]
)
PATHS = st.sampled_from(["ward", "ward.0", "ward.a", "n", "wards", "a.ward"])
MODIFIERS = st.one_of(
    st.dictionaries(
        OPERATORS,
        st.dictionaries(PATHS, st.one_of(WARDS, PATHS), min_size=1, max_size=2),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(["ward", "n"]), WARDS),
)


@given(MODIFIERS, st.sampled_from([1, "7", ["8"]]), st.booleans())
def test_a_modifier_that_is_not_refused_never_leads_out(
    modifier: Document, n: Any, is_insert: bool
) -> None:
    operation = Update(collection="beds", selector={}, modifier=modifier, access=SEVEN)
    if is_refused(operation):
        return
    before: Document = {"_id": 1, "ward": "7", "n": n}
    try:
        after = Modifier(modifier).apply(before, now_ms=0, is_insert=is_insert)
    except MinimongoError:
        return
    assert SEVEN.admits(after)


def test_a_modifier_that_does_not_compile_is_left_to_the_compiler() -> None:
    for modifier in ({"$set": 1}, {"$rename": {"n": 1}}, {"$set": {1: 2}}):
        broken: Any = modifier
        assert not is_refused(Update(collection="beds", selector={}, modifier=broken, access=SEVEN))


def test_without_a_filter_nothing_is_refused() -> None:
    assert not is_refused(Insert(collection="beds", documents=[{"_id": 1, "ward": "8"}]))
    assert not is_refused(Update(collection="beds", selector={}, modifier={"ward": "8"}))


def test_a_refusal_says_the_same_whatever_was_refused() -> None:
    error = AccessRefused()
    assert error.code == 13
    assert str(error).startswith("The write would leave the open access scopes.")

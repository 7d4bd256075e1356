from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.projection import Projection

Spec = dict[str, Any]


@pytest.mark.parametrize("spec", [None, {}])
def test_nothing_asked_shows_the_document_itself(spec: Spec | None) -> None:
    document = {"_id": "p", "a": 1}
    assert Projection(spec).apply(document) is document


def test_an_inclusion_shows_the_named_fields_and_the_id() -> None:
    projection = Projection({"a": 1, "b.c": True})
    document = {"_id": "p", "a": 1, "b": {"c": 2, "d": 3}, "e": 4}
    assert projection.apply(document) == {"_id": "p", "a": 1, "b": {"c": 2}}
    assert projection.including
    assert projection.includes_id
    assert projection.paths == ("a", "b.c")


def test_an_exclusion_shows_all_but_the_named_fields() -> None:
    projection = Projection({"a": 0, "b.c": False, "x.y": 0})
    document = {"_id": "p", "a": 1, "b": {"c": 2, "d": 3}, "e": 4}
    assert projection.apply(document) == {"_id": "p", "b": {"d": 3}, "e": 4}
    assert not projection.including


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"_id": 0}, {"a": 1, "b": 2}),
        ({"_id": 0, "a": 1}, {"a": 1}),
        ({"_id": 0, "a": 0}, {"b": 2}),
        ({"_id": 1}, {"_id": "p"}),
    ],
)
def test_the_id_may_be_hidden_from_both_kinds(spec: Spec, shown: Spec) -> None:
    projection = Projection(spec)
    assert projection.apply({"_id": "p", "a": 1, "b": 2}) == shown
    assert projection.includes_id is ("_id" in shown)
    assert "_id" not in projection.paths or projection.includes_id


def test_fields_keep_the_order_of_the_document() -> None:
    shown = Projection({"b": 1, "a": 1}).apply({"a": 1, "x": 0, "b": 2})
    assert list(shown) == ["a", "b"]


def test_arrays_are_traversed_and_what_is_no_document_is_left_out_of_an_inclusion() -> None:
    document = {"a": [{"b": 1, "c": 2}, 3, [{"b": 4}, 5], {"c": 6}], "d": 7}
    assert Projection({"a.b": 1}).apply(document) == {"a": [{"b": 1}, [{"b": 4}], {}]}
    assert Projection({"d.b": 1}).apply(document) == {}


def test_arrays_are_traversed_by_an_exclusion() -> None:
    document = {"a": [{"b": 1, "c": 2}, 3, [{"b": 4}]]}
    assert Projection({"a.b": 0}).apply(document) == {"a": [{"c": 2}, 3, [{}]]}


def test_the_given_document_is_never_changed_and_untouched_parts_are_shared() -> None:
    kept = {"x": [1]}
    document = {"_id": "p", "a": {"b": 1, "c": kept}, "d": kept}
    shown = Projection({"a.b": 0}).apply(document)
    assert shown["a"]["c"] is kept
    assert shown["d"] is kept
    assert document == {"_id": "p", "a": {"b": 1, "c": kept}, "d": kept}


@pytest.mark.parametrize("spec", [{"a.b": 1, "c": 1}, {"a.x": 0, "d.x": 0, "e": 0}])
def test_a_document_that_is_shown_whole_stays_the_same_object(spec: Spec) -> None:
    document = {"_id": "p", "a": [{"b": 1}], "c": {"d": 2}}
    assert Projection(spec).apply(document) is document


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("some text", "must be an object"),
        ({"a": 1, "b": 0}, "cannot mix"),
        ({"_id": 1, "a": 0}, "cannot mix"),
        ({"a.b": 1, "a": 1}, "both 'a' and 'a.b'"),
        ({"_id.a": 1, "_id": 1}, "both '_id' and '_id.a'"),
        ({"a.$": 1}, "do not support the \\$ in 'a.\\$'"),
        ({"a": {"$slice": 1}}, "do not support operators, as for 'a'"),
        ({"a": [1]}, "do not support operators"),
        ({"a": "yes"}, "'a' must be 1, 0, true or false"),
        ({"a": 2}, "must be 1, 0, true or false"),
        ({"a": None}, "must be 1, 0, true or false"),
        ({"": 1}, "empty field name"),
        ({"a..b": 1}, "empty field name"),
    ],
)
def test_what_is_no_projection_does_not_compile(spec: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        Projection(spec)


def test_part_of_the_id_may_be_included() -> None:
    document = {"_id": {"ward": "w", "bed": 1}, "a": 2}
    assert Projection({"_id.ward": 1}).apply(document) == {"_id": {"ward": "w"}}

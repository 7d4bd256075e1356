# Documents hold values of any type.
from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, ObjectId, Regex, date_from_millis

NOW_MS = 1767323045678
PATIENT = ObjectId("5" * 24)


def _apply(spec: Document, document: Document, **options: Any) -> Document:
    return Modifier(spec).apply(document, now_ms=NOW_MS, **options)


def _upsert(selector: Any, spec: Document) -> Document:
    return upsert_document(selector, Modifier(spec), now_ms=NOW_MS)


def test_operators_change_the_named_fields_only() -> None:
    document = {"_id": "p", "a": 1, "b": [1], "c": {"d": 1}}
    spec = {"$set": {"c.e": 2}, "$inc": {"a": 1}, "$unset": {"b": ""}, "$currentDate": {"f": True}}
    modifier = Modifier(spec)
    assert modifier.apply(document, now_ms=NOW_MS) == {
        "_id": "p",
        "a": 2,
        "c": {"d": 1, "e": 2},
        "f": date_from_millis(NOW_MS),
    }
    assert document == {"_id": "p", "a": 1, "b": [1], "c": {"d": 1}}
    assert not modifier.is_replacement
    assert modifier.paths == ("c.e", "a", "b", "f")


def test_unchanged_parts_are_shared_with_the_given_document() -> None:
    document: Document = {"_id": "p", "a": {"b": 1}, "c": {"d": 1}}
    assert _apply({"$set": {"c.d": 2}}, document)["a"] is document["a"]


@pytest.mark.parametrize(
    "spec",
    [
        {"$set": {"a": 1, "b.c": "x"}, "$unset": {"z": 1}, "$addToSet": {"d": 1}},
        {"$set": {}},
        {"$setOnInsert": {"z": 1}},
        {"$set": {"_id": "p"}},
        {"a": 1, "b": {"c": "x"}, "d": [1]},
    ],
)
def test_the_same_document_comes_back_when_nothing_changes(spec: Document) -> None:
    document = {"_id": "p", "a": 1, "b": {"c": "x"}, "d": [1]}
    assert _apply(spec, document) is document


def test_a_replacement_keeps_the_id_only() -> None:
    modifier = Modifier({"b": 2})
    assert modifier.apply({"_id": "p", "a": 1}, now_ms=NOW_MS) == {"_id": "p", "b": 2}
    assert modifier.apply({"a": 1}, now_ms=NOW_MS) == {"b": 2}
    assert modifier.is_replacement
    assert modifier.paths == ("b",)


def test_an_empty_modifier_replaces_everything_by_nothing() -> None:
    assert _apply({}, {"_id": "p", "a": 1}) == {"_id": "p"}


def test_the_spec_is_copied() -> None:
    for spec in ({"$set": {"a": {"b": [1]}}}, {"a": {"b": [1]}}):
        modifier = Modifier(spec)
        inner: Any = spec.get("$set", spec)
        inner["a"]["b"].append(2)
        assert modifier.apply({}, now_ms=NOW_MS) == {"a": {"b": [1]}}


def test_the_first_array_index_is_the_positional_part() -> None:
    document = {"a": [{"b": [1]}, {"b": [2]}]}
    assert _apply({"$set": {"a.$.b": 3}}, document, array_indices=(1, 0)) == {
        "a": [{"b": [1]}, {"b": 3}]
    }
    for indices in (None, ()):
        with pytest.raises(MinimongoError, match="the selector matched no array element"):
            _apply({"$set": {"a.$.b": 3}}, document, array_indices=indices)


def test_set_on_insert_counts_for_inserts() -> None:
    spec = {"$setOnInsert": {"a": 1}, "$set": {"b": 2}}
    assert _apply(spec, {}) == {"b": 2}
    assert _apply(spec, {}, is_insert=True) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "spec",
    [
        {"$set": {"_id": "q"}},
        {"$unset": {"_id": 1}},
        {"$rename": {"_id": "a"}},
        {"$rename": {"a": "_id"}},
        {"_id": "q"},
        {"_id": "q", "a": 1},
        {"$set": {"_id": b"p"}},
    ],
)
def test_the_id_cannot_be_changed(spec: Document) -> None:
    with pytest.raises(MinimongoError, match="_id of a document cannot be changed"):
        _apply(spec, {"_id": "p", "a": 1})


def test_part_of_the_id_cannot_be_changed() -> None:
    with pytest.raises(MinimongoError, match="_id of a document cannot be changed"):
        _apply({"$set": {"_id.x": 2}}, {"_id": {"x": 1}})


def test_a_document_without_id_may_be_given_one() -> None:
    assert _apply({"$set": {"_id": "p"}}, {"a": 1}) == {"_id": "p", "a": 1}
    assert _apply({"_id": "p"}, {"a": 1}) == {"_id": "p"}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (None, "must be an object"),
        ([{"$set": {"a": 1}}], "must be an object"),
        ("text", "must be an object"),
        ({"$set": {"a": 1}, "b": 1}, "cannot mix operators and fields"),
        ({"a": 1, "$set": {"b": 1}}, "cannot mix operators and fields"),
        ({"$foo": {"a": 1}}, "\\$foo is no operator"),
        ({"$set": 1}, "\\$set needs an object of paths"),
        ({"$set": [1]}, "\\$set needs an object of paths"),
        ({"$set": {1: 1}}, "\\$set has a path that is no text"),
        ({1: 1}, "The replacement holds a field name that is no text"),
        ({"a.b": 1}, "The replacement holds a field name that contains '.'"),
        ({"a": {"$b": 1}}, "The replacement holds a field name that starts with '\\$'"),
        ({"a": [{"\0": 1}]}, "The replacement holds a field name that contains a null byte"),
        ({"$set": {"": 1}}, "empty field name"),
        ({"$set": {"a": 1}, "$inc": {"a": 1}}, "both 'a' and 'a'"),
        ({"$set": {"a.b": 1, "a": 1}}, "both 'a' and 'a.b'"),
        ({"$rename": {"a": "a"}}, "both 'a' and 'a'"),
        ({"$rename": {"a": "a.b"}}, "both 'a' and 'a.b'"),
        ({"$rename": {"a": "b"}, "$set": {"b.c": 1}}, "both 'b' and 'b.c'"),
    ],
)
def test_what_works_on_no_document_does_not_compile(spec: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        Modifier(spec)


def test_a_refusal_names_operator_and_path_but_no_value() -> None:
    with pytest.raises(MinimongoError) as caught:
        _apply({"$inc": {"a.dose": 1}}, {"_id": "p", "a": {"dose": "secret"}})
    assert str(caught.value) == "$inc of 'a.dose' needs a number in the document."


@pytest.mark.parametrize(
    ("selector", "document"),
    [
        ({}, {}),
        (None, {}),
        (True, {}),
        ("p", {"_id": "p"}),
        (PATIENT, {"_id": PATIENT}),
        (7, {"_id": 7}),
        ({"_id": "p", "a": 1}, {"_id": "p", "a": 1}),
        ({"a": None}, {"a": None}),
        ({"a": {}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a.b": 1, "a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"$eq": 1}}, {"a": 1}),
        ({"a": {"$eq": 1, "$gt": 0}}, {"a": 1}),
        ({"a": {"$all": [1]}}, {"a": 1}),
        ({"a": {"$all": [{"$elemMatch": {"b": 1}}]}}, {}),
        ({"a": {"$gt": 1}, "b": {"$exists": True}}, {}),
        ({"a": Regex("x")}, {}),
        ({"a": {"$eq": Regex("x")}}, {}),
        ({"a": {"$in": [1]}}, {"a": 1}),
        ({"a": {"$in": [1, 2]}}, {}),
        ({"a": {"$in": [Regex("x")]}}, {}),
        ({"$and": [{"a": 1}, {"b": 2}]}, {"a": 1, "b": 2}),
        ({"$or": [{"a": 1}]}, {"a": 1}),
        ({"$or": [{"a": 1}, {"b": 2}]}, {}),
        ({"$nor": [{"a": 1}]}, {}),
    ],
)
def test_an_upsert_starts_with_what_the_selector_equals(selector: Any, document: Document) -> None:
    assert _upsert(selector, {"$set": {"z": 0}}) == {**document, "z": 0}


def test_an_upsert_inserts_what_is_set_on_insert() -> None:
    spec = {"$setOnInsert": {"b": 2}, "$push": {"c": 1}, "$currentDate": {"d": True}}
    assert _upsert({"a": 1}, spec) == {
        "a": 1,
        "b": 2,
        "c": [1],
        "d": date_from_millis(NOW_MS),
    }


def test_an_upsert_puts_the_id_first() -> None:
    assert list(_upsert({"a": 1}, {"$setOnInsert": {"_id": "p"}})) == ["_id", "a"]


def test_an_upserted_replacement_keeps_only_the_id_of_the_selector() -> None:
    assert _upsert({"_id": "p", "a": 1}, {"b": 2}) == {"_id": "p", "b": 2}
    assert _upsert({"a": 1}, {"b": 2}) == {"b": 2}
    assert _upsert({"a": 1}, {"b": 2, "_id": "p"}) == {"_id": "p", "b": 2}


@pytest.mark.parametrize("spec", [{"$set": {"_id": "q"}}, {"_id": "q"}])
def test_an_upsert_cannot_change_the_id_of_the_selector(spec: Document) -> None:
    with pytest.raises(MinimongoError, match="_id of a document cannot be changed"):
        _upsert({"_id": "p"}, spec)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"$and": [{"a": 1}, {"a": 1}]}, "gives 'a' two values"),
        ({"a": {"$all": [1, 2]}}, "gives 'a' two values"),
        ({"a": 1, "a.b": 2}, "both 'a' and 'a.b'"),
        ({"a": {"$eq": 1, "b": 2}}, "mixes operators and fields for 'a'"),
        ({"a": {"b.c": 1}}, "contains '.'"),
        ({"a": {"b": {"$eq": 1}}}, "starts with '\\$'"),
        ({"a": {"$all": 1}}, "\\$all and \\$in of 'a' need arrays"),
        ({"a": {"$in": 1}}, "\\$all and \\$in of 'a' need arrays"),
        ({"$and": {"a": 1}}, "\\$and needs an array of selectors"),
        ({"$or": 1}, "\\$or needs an array of selectors"),
        ({"$and": [1]}, "branch of the selector is no object"),
    ],
)
def test_a_selector_that_says_no_document_is_refused(selector: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        _upsert(selector, {"$set": {"z": 0}})


def test_a_selector_nested_too_deep_is_refused() -> None:
    selector: Document = {"a": 1}
    for _ in range(99):
        selector = {"$and": [selector]}
    assert _upsert(selector, {}) == {}
    with pytest.raises(MinimongoError, match="nested deeper than 100 levels"):
        _upsert({"$and": [selector]}, {})

from typing import Any

import pytest

from bolide.server.stores.mongo.feed.delta import applied

PATIENT: dict[str, Any] = {
    "_id": 1,
    "name": "Ada",
    "bed": {"ward": 7, "place": {"row": 1}},
    "doses": [{"mg": 5}, {"mg": 10}, {"mg": 15}],
    "tags": ["a", "b", "c"],
}

CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"updatedFields": {"name": "Eve"}}, {"name": "Eve"}),
    ({"updatedFields": {"age": 3}}, {"age": 3}),
    ({"updatedFields": {"bed.ward": 8}}, {"bed": {"ward": 8, "place": {"row": 1}}}),
    (
        {"updatedFields": {"bed.ward": 8, "bed.place.row": 2}},
        {"bed": {"ward": 8, "place": {"row": 2}}},
    ),
    ({"updatedFields": {"doses.1.mg": 11}}, {"doses": [{"mg": 5}, {"mg": 11}, {"mg": 15}]}),
    ({"updatedFields": {"tags.3": "d"}}, {"tags": ["a", "b", "c", "d"]}),
    ({"updatedFields": {"tags.0": "z"}}, {"tags": ["z", "b", "c"]}),
    ({"truncatedArrays": [{"field": "tags", "newSize": 1}]}, {"tags": ["a"]}),
    ({"removedFields": ["bed.place"]}, {"bed": {"ward": 7}}),
]


@pytest.mark.parametrize(("description", "changed"), CHANGES)
def test_a_change_makes_the_document_after_it(
    description: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert applied(PATIENT, description) == {**PATIENT, **changed}


def test_a_field_that_is_removed_is_gone() -> None:
    assert applied({"_id": 1, "n": 1}, {"removedFields": ["n"]}) == {"_id": 1}


def test_the_document_before_stays_and_what_did_not_change_is_shared() -> None:
    before = {"_id": 1, "a": {"b": {"c": 1}, "d": [1]}, "e": [2]}
    after = applied(before, {"updatedFields": {"a.b.c": 2}})
    assert before == {"_id": 1, "a": {"b": {"c": 1}, "d": [1]}, "e": [2]}
    assert after is not None
    assert after["e"] is before["e"]
    assert after["a"]["d"] is before["a"]["d"]  # type: ignore[index]


DOUBTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # A name with a dot may be meant, or a field of a field.
    ({"a.b": 1, "a": {"b": 2}}, {"updatedFields": {"a.b": 3}}),
    ({"a": {"b.c": 1, "b": {"c": 1}}}, {"updatedFields": {"a.b.c": 3}}),
    ({}, {"updatedFields": {"a.b": 3}}),
    ({"a": 1}, {"updatedFields": {"a.b": 3}}),
    ({"a": [1]}, {"updatedFields": {"a.5": 3}}),
    ({"a": [1]}, {"updatedFields": {"a.b": 3}}),
    ({"a": [1]}, {"updatedFields": {"a.\u0663": 3}}),
    ({"a": [1]}, {"updatedFields": {"a.7.b": 3}}),
    ({"a": [1]}, {"removedFields": ["a.0"]}),
    ({}, {"removedFields": ["a"]}),
    ({"a": [1]}, {"truncatedArrays": [{"field": "a", "newSize": 2}]}),
    ({"a": {}}, {"truncatedArrays": [{"field": "a", "newSize": 0}]}),
    ({"a": {"0": 1}}, {"updatedFields": {"a.0": 2}, "disambiguatedPaths": {"a.0": ["a", "0"]}}),
]


@pytest.mark.parametrize(("document", "description"), DOUBTS)
def test_nothing_is_guessed(document: dict[str, Any], description: dict[str, Any]) -> None:
    assert applied({"_id": 1, **document}, description) is None


def test_a_number_is_a_name_in_an_object_and_an_index_in_an_array() -> None:
    assert applied({"_id": 1, "a": {"0": 1}}, {"updatedFields": {"a.0": 2}}) == {
        "_id": 1,
        "a": {"0": 2},
    }
    assert applied({"_id": 1, "a": [1]}, {"updatedFields": {"a.0": 2}}) == {"_id": 1, "a": [2]}


def test_a_new_name_in_an_object_may_be_a_name_with_a_dot() -> None:
    assert applied({"a": {"x": 1}}, {"updatedFields": {"a.b": 5}}) is None
    assert applied({"a": {"b": 1}}, {"updatedFields": {"a.b": 5}}) == {"a": {"b": 5}}
    assert applied({"a": 1}, {"updatedFields": {"b": 5}}) == {"a": 1, "b": 5}

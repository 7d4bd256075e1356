"""A parent as child functions see it: read-only, and it knows what was read."""

from collections.abc import Mapping
from typing import Any

import pytest

from bolide.server.publications.joins.errors import FieldNotShown
from bolide.server.publications.joins.parent_view import ParentView, ShownFields

FIELDS: dict[str, Any] = {"bed": 1, "tags": ["a"], "name": {"first": "A"}}


def view(projection: Mapping[str, Any] | None = None) -> ParentView:
    return ParentView("p1", FIELDS, ShownFields("patients", projection))


def test_it_is_a_mapping_of_the_published_document() -> None:
    seen = view()
    assert (seen["_id"], seen["bed"], seen.get("ward"), seen.get("ward", 7)) == ("p1", 1, None, 7)
    assert dict(seen) == {"_id": "p1", **FIELDS}
    assert len(seen) == 4
    assert "bed" in seen
    assert "ward" not in seen
    number: object = 5
    assert number not in seen
    with pytest.raises(KeyError):
        seen["ward"]
    with pytest.raises(TypeError):
        seen["bed"] = 2  # type: ignore[index]


def test_what_it_hands_out_is_a_copy() -> None:
    seen = view()
    seen["tags"].append("b")
    seen["name"]["first"] = "B"
    assert FIELDS == {"bed": 1, "tags": ["a"], "name": {"first": "A"}}


def test_only_what_was_read_makes_another_state_differ() -> None:
    seen = view()
    assert not seen.has_other({})
    assert seen["bed"] == 1
    assert "ward" not in seen
    assert not seen.has_other(FIELDS)
    assert not seen.has_other({"bed": 1.0, "name": {}})
    assert seen.has_other({"bed": 2})
    assert seen.has_other({})
    assert seen.has_other({**FIELDS, "ward": "w"})


def test_going_through_the_fields_reads_all_of_them() -> None:
    seen = view()
    list(seen)
    assert seen.has_other({**FIELDS, "new": 1})
    assert seen.values_read() == {"_id": "p1", **FIELDS}
    counted = view()
    len(counted)
    assert counted.has_other({**FIELDS, "new": 1})


def test_it_tells_what_was_read() -> None:
    seen = view()
    assert [seen["_id"], seen["bed"], seen.get("ward")] == ["p1", 1, None]
    assert seen.values_read() == {"_id": "p1", "bed": 1}


def test_a_later_state_is_read_from_then_on() -> None:
    seen = view()
    assert seen["bed"] == 1
    seen.show({"bed": 2})
    assert seen["bed"] == 2
    assert not seen.has_other({"bed": 2})


@pytest.mark.parametrize(
    ("projection", "shown", "hidden"),
    [
        (None, ["_id", "bed", "name", "ward"], []),
        ({}, ["bed"], []),
        ({"bed": 1}, ["_id", "bed"], ["name", "ward"]),
        ({"_id": 1}, ["_id"], ["bed"]),
        ({"name.first": 1}, ["name"], ["bed"]),
        ({"bed": 0}, ["_id", "name", "ward"], ["bed"]),
        ({"name.first": 0, "tags": 0}, ["name", "bed"], ["tags"]),
    ],
)
def test_a_field_that_is_not_published_cannot_be_read(
    projection: Mapping[str, Any] | None, shown: list[str], hidden: list[str]
) -> None:
    seen = view(projection)
    for name in shown:
        seen.get(name)
    for name in hidden:
        with pytest.raises(FieldNotShown, match=f"the field {name} of patients"):
            seen.get(name)
        with pytest.raises(FieldNotShown):
            assert name in seen

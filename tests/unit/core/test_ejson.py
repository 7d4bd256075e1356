"""EJSON: the vectors that every implementation shares, and what is Python's own."""

import json
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from bolide.core._json_text import write_json
from bolide.core.ejson import add_type, canonical, from_json, parse, stringify, to_json
from bolide.core.errors import EJSONError
from bolide.core.values import INVALID_DATE, UNDEFINED, EJSONValue, equals

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ejson.json").read_text("utf-8")
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_vector_is_read_and_written(case: dict[str, str]) -> None:
    value = parse(case["wire"])
    written = case.get("written", case["wire"])
    assert stringify(value) == written
    assert canonical(value) == case.get("canonical", written)
    plain = write_json(to_json(value, bolide=False), indent=None, sort_keys=False)
    assert plain == case.get("plain", written)
    assert equals(parse(written), value)


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["wire"])
def test_vector_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(EJSONError) as caught:
        parse(case["wire"])
    assert str(caught.value) == case["error"]


def test_names_of_vectors_are_unique() -> None:
    names = [case["name"] for case in VECTORS["cases"]]
    assert len(set(names)) == len(names)


def test_deeply_nested_text_is_refused_and_does_not_crash() -> None:
    with pytest.raises(EJSONError, match="not valid JSON"):
        parse("[" * 100_000)


def test_indentation_is_a_number_a_text_or_true() -> None:
    value: EJSONValue = {"a": [1, {}], "b": []}
    two = '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'
    assert stringify(value, indent=2) == stringify(value, indent=True) == two
    assert stringify(value, indent="  ") == two
    assert stringify(value, indent=None) == stringify(value, indent=0) == '{"a":[1,{}],"b":[]}'
    assert stringify({"b": 1, "a": 2}, indent="-", canonical=True) == '{\n-"a": 2,\n-"b": 1\n}'


def test_invalid_date_is_not_the_epoch() -> None:
    assert parse('{"$date":null}') is INVALID_DATE


class Angle:
    """A custom type of an application."""

    def __init__(self, degrees: float) -> None:
        if not 0 <= degrees < 360:
            raise ValueError("no angle")
        self.degrees = degrees

    def type_name(self) -> str:
        return "ejson-test-angle"

    def to_json_value(self) -> EJSONValue:
        return {"degrees": self.degrees}


add_type("ejson-test-angle", lambda value: Angle(value["degrees"]))


def test_custom_type_survives() -> None:
    text = '[{"$type":"ejson-test-angle","$value":{"degrees":90}}]'
    assert stringify([Angle(90.0)]) == text
    assert equals(parse(text), [Angle(90)])


def test_custom_type_refuses_what_it_cannot_be_without_telling_it() -> None:
    with pytest.raises(EJSONError) as caught:
        parse('{"$type":"ejson-test-angle","$value":{"degrees":666}}')
    assert str(caught.value) == "EJSON type ejson-test-angle cannot be made from its $value."


@pytest.mark.parametrize("name", ["ejson-test-angle", "oid", "Decimal", "cse", "long"])
def test_name_of_a_type_is_given_once(name: str) -> None:
    with pytest.raises(ValueError, match="registered already"):
        add_type(name, Angle)


def test_values_that_need_no_change_are_shared() -> None:
    inner: EJSONValue = {"a": [1, "x", None, 1.5]}
    value: Any = {"inner": inner, "data": b"x"}
    written: Any = to_json(value)
    assert written["inner"] is inner
    assert value["data"] == b"x"
    assert to_json(inner) is inner


def test_reading_leaves_the_tree_as_it_was() -> None:
    tree: Any = {"list": ["x", {"$date": 0}, 2**63], "plain": [1]}
    before = json.dumps(tree)
    read: Any = from_json(tree)
    assert json.dumps(tree) == before
    assert read["plain"] is tree["plain"]


def test_undefined_is_left_out_of_objects_and_null_elsewhere() -> None:
    value: Any = {"a": UNDEFINED, "b": [UNDEFINED]}
    assert stringify(value) == '{"b":[null]}'
    assert stringify(UNDEFINED) == "null"
    # What is left over may look like a date.
    look_alike: Any = {"$date": 1, "a": UNDEFINED}
    assert to_json(look_alike) == {"$escape": {"$date": 1}}


class Level(IntEnum):
    HIGH = 3


def test_canonical_text_of_equal_values_is_the_same() -> None:
    assert canonical({"a": 1, "b": Level.HIGH}) == canonical({"b": 3.0, "a": 1.0})


def test_mappings_and_tuples_are_written_as_objects_and_arrays() -> None:
    value: Any = MappingProxyType({"a": (1, b"x"), "b": ()})
    assert stringify(value) == '{"a":[1,{"$binary":"eA=="}],"b":[]}'

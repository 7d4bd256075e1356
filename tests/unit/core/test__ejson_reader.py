"""Reading EJSON: what is malformed, and numbers that JSON can write and we cannot hold."""

import math
from collections import OrderedDict
from typing import Any

import pytest

from bolide.core._ejson_reader import NumberTooBig, factories, read
from bolide.core.errors import EJSONError
from bolide.core.values import INVALID_DATE


def test_integers_beyond_64_bits_become_floats() -> None:
    assert read([2**63 - 1, -(2**63)]) == [2**63 - 1, -(2**63)]
    read_back: Any = read([2**63, -(2**63) - 1])
    assert read_back == [2.0**63, -(2.0**63)]
    assert [type(item) for item in read_back] == [float, float]


def test_containers_may_be_of_subclasses() -> None:
    class Items(list[Any]):
        pass

    read_back: Any = read(Items([OrderedDict(at=OrderedDict({"$InfNaN": 1}))]))
    assert read_back == [{"at": math.inf}]


def test_integer_that_no_float_holds_is_refused() -> None:
    with pytest.raises(NumberTooBig, match="too big for 64 bits"):
        read({"a": [10**400]})


@pytest.mark.parametrize("content", [True, False, [], {}, None, math.nan, math.inf, "", "1"])
def test_date_that_is_none_is_an_invalid_date(content: Any) -> None:
    assert read({"$date": content}) is INVALID_DATE


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-01",
        "2024-01-01T25:00:00Z",
        "2024-01-01T00:00:00.1234567Z",
        "0001-01-01T00:00+23:00",
    ],
)
def test_text_that_is_no_date_of_the_calendar_is_an_invalid_date(text: str) -> None:
    assert read({"$date": text}) is INVALID_DATE


@pytest.mark.parametrize(
    ("content", "number"), [(2.5, math.inf), (-7, -math.inf), (0.0, math.nan), ("x", math.nan)]
)
def test_inf_nan_is_the_number_divided_by_zero(content: Any, number: float) -> None:
    made = read({"$InfNaN": content})
    assert isinstance(made, float)
    assert made == number or (math.isnan(made) and math.isnan(number))


@pytest.mark.parametrize("name", [1, None, [], {}, "x" * 65])
def test_name_of_a_type_that_nobody_would_give_is_not_repeated(name: Any) -> None:
    with pytest.raises(EJSONError) as caught:
        read({"$type": name, "$value": 1})
    assert str(caught.value) == "Custom EJSON type (not a name) is not defined"


@pytest.mark.parametrize("json", [None, True, 1, 1.5, "x", [], {}])
def test_plain_json_is_a_value_as_it_is(json: Any) -> None:
    assert read(json) is json


def test_our_own_types_are_registered() -> None:
    assert {"oid", "Decimal", "cse", "long"} <= factories.keys()


def test_flags_are_read_to_the_fiftieth() -> None:
    made: Any = read({"$regexp": "a", "$flags": "i" * 50 + "m"})
    assert made.flags == "i"


def test_values_are_found_among_plain_items() -> None:
    assert read(["x", None, {"$binary": ""}, 1]) == ["x", None, b"", 1]

"""JSON text: the same bytes as JavaScript writes."""

import math
import struct

import pytest

from bolide.core._json_text import JSON, number_text, write_json


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (100.0, "100"),
        (123.456, "123.456"),
        (0.1, "0.1"),
        (0.00012, "0.00012"),
        (0.000001, "0.000001"),
        (0.0000012, "0.0000012"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (1e15, "1000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e21, "1.5e+21"),
        (12345678901234567890.0, "12345678901234567000"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (7, "7"),
        (-(10**30), "-1" + "0" * 30),
        (True, "1"),
    ],
)
def test_number_is_written_as_ecmascript_does(number: float, text: str) -> None:
    assert number_text(number) == text


def test_text_of_a_number_gives_the_number_back() -> None:
    bits = 1
    for _ in range(2000):
        bits = bits * 6364136223846793005 + 1442695040888963407 & (2**64 - 1)
        (number,) = struct.unpack("<d", struct.pack("<Q", bits))
        if math.isfinite(number):
            assert float(number_text(number)) == number


def line(tree: JSON, *, sort_keys: bool = False) -> str:
    return write_json(tree, indent=None, sort_keys=sort_keys)


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert line("a\ud800é") == '"a\\ud800é"'
    assert line({"\udfff": None}) == '{"\\udfff":null}'


def test_keys_are_sorted_by_utf16_code_units() -> None:
    tree: JSON = {"\uffff": 1, "\U0001f600": 2, "a": 3, "\ud800": 4}
    assert line(tree, sort_keys=True) == '{"a":3,"\\ud800":4,"\U0001f600":2,"\uffff":1}'


def test_indentation_begins_new_lines_and_leaves_empty_containers_alone() -> None:
    tree: JSON = {"a": [True, False], "b": {}, "c": []}
    expected = '{\n -"a": [\n -  -true,\n -  -false\n -],\n -"b": {},\n -"c": []\n}'
    assert write_json(tree, indent=" -", sort_keys=False) == expected.replace("-  -", "- -")

"""Words: what is JSON means what JSON means, everything else is a string."""

from datetime import UTC, datetime

import pytest

from bolide.core.values import EJSONValue
from bolide.ops.terminal.words import WrongWord, read_words


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("7", 7), ("-1.5", -1.5), ('"7"', "7"), ("true", True), ("null", None),
        ("north", "north"), ("ward 7", "ward 7"), ("", ""), ("7b", "7b"), ("NaN", "NaN"),
        ('{"a": [1]}', {"a": [1]}), ('{"$date": 0}', datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_word_is_json_or_a_string(word: str, value: EJSONValue) -> None:
    assert read_words([word]) == [value]


@pytest.mark.parametrize("word", ['{"a":', "[1", '"open', " {a: 1}", '{"$date": "x"'])
def test_word_that_begins_like_json_must_be_json(word: str) -> None:
    with pytest.raises(WrongWord, match="Argument 2 begins like JSON but cannot be read"):
        read_words(["fine", word])

"""Where a function of the program failed: type and line, never the text."""

from pathlib import Path

import pytest

from bolide.client.raised_at import raised_at


def fail() -> None:
    raise KeyError("secret")


def test_it_names_the_line_of_the_function_that_was_called() -> None:
    with pytest.raises(KeyError) as caught:
        fail()
    line = fail.__code__.co_firstlineno + 1
    assert raised_at(caught.value) == f"KeyError in {Path(__file__).name}, line {line}"


def test_of_an_error_of_our_own_it_names_that_line() -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        raise ValueError("secret")
    assert raised_at(caught.value).startswith("ValueError in test_raised_at.py, line ")

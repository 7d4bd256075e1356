"""No bytes make a regular expression go back over them again and again.

Told by their structure, because time is no measure: where nothing goes back, each byte is looked at
a fixed number of times.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bolide.balancer import heads

# The compiler's own view of a pattern; it has no types, and no other name.
_parser: Any = importlib.import_module("re._parser")
MODULES = [
    importlib.import_module(f"{heads.__name__}.{found.name}")
    for found in pkgutil.iter_modules(heads.__path__)
]
PATTERNS: dict[str, re.Pattern[bytes]] = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern) and not name.startswith("__")
}
FEW = 64
"""A repetition of no more characters than this may go back."""
ONE_CHARACTER = {"IN", "LITERAL", "NOT_LITERAL", "ANY"}


def sequences(items: Any, *, is_possessive: bool = False) -> Iterator[tuple[list[Any], bool]]:
    """Yield each sequence of a pattern, and whether it is all there is of a possessive one."""
    yield list(items), is_possessive
    for operator, argument in items:
        name = str(operator)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            yield from sequences(argument[2], is_possessive=name == "POSSESSIVE_REPEAT")
        elif name == "SUBPATTERN":
            yield from sequences(argument[3])
        elif name == "ATOMIC_GROUP":
            yield from sequences(argument, is_possessive=True)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from sequences(branch)


def goes_back(pattern: re.Pattern[bytes] | bytes) -> bool:
    """Tell whether there is a repetition that may be tried at many lengths."""
    source = pattern if isinstance(pattern, bytes) else pattern.pattern
    flags = 0 if isinstance(pattern, bytes) else pattern.flags
    return any(map(_has_open_end, sequences(_parser.parse(source, flags))))


def _has_open_end(sequence: tuple[list[Any], bool]) -> bool:
    items, is_possessive = sequence
    for at, (operator, argument) in enumerate(items):
        if str(operator) not in ("MAX_REPEAT", "MIN_REPEAT"):
            continue
        _, most, repeated = argument
        is_one = _are_single(repeated)
        # One character behind it, and then it is over: back to the last of these, once.
        is_last_but_one = is_possessive and _are_single(items[at + 1 :])
        if most != 1 and not (is_one and (most <= FEW or is_last_but_one)):
            return True
    return False


def _are_single(items: Iterable[Any]) -> bool:
    return [str(operator) in ONE_CHARACTER for operator, _ in items] == [True]


def test_there_are_patterns() -> None:
    assert len(PATTERNS) >= 10


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_goes_back(name: str) -> None:
    assert not goes_back(PATTERNS[name])


@pytest.mark.parametrize("pattern", [b"a*b", b"(?:a|b)*", b"(?:a*b)?", b"(?:a*b+)?+", b"a{1,65}b"])
def test_others_would(pattern: bytes) -> None:
    assert goes_back(pattern)


def test_nothing_is_searched_for() -> None:
    # A search begins again behind each byte; `findall` in fields takes all there is in one go.
    for module in MODULES:
        assert module.__file__ is not None
        assert ".search(" not in Path(module.__file__).read_text()
        assert ".sub(" not in Path(module.__file__).read_text()

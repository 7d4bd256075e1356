import re
from pathlib import Path

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import MAX_SELECTOR_NESTING, Matcher
from bolide.core.minimongo.modifier import Modifier
from bolide.core.minimongo.modifiers.target import MAX_PADDING
from bolide.core.minimongo.paths import MAX_NESTING
from bolide.core.minimongo.regexes.regex import (
    MATCH_TIMEOUT_S,
    MAX_EXPANDED_LENGTH,
    MAX_PATTERN_LENGTH,
)
from bolide.core.minimongo.selectors.bits import MAX_POSITION

_PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "minimongo.md").read_text()


def _section(title: str) -> str:
    return _PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def _operators(text: str) -> list[str]:
    return re.findall(r"`(\$\w+)`", text)


def _in_tables(title: str) -> list[str]:
    lines = [line for line in _section(title).split("\n") if line.startswith("|")]
    return _operators("\n".join(lines))


def _error_of_selector(name: str) -> str:
    errors = ""
    for selector in ({name: 5}, {"a": {name: 5}}):
        try:
            Matcher(selector)
        except MinimongoError as error:
            errors += str(error)
        else:
            return ""
    return errors


@pytest.mark.parametrize("name", _in_tables("Selectors"))
def test_operators_of_selectors_that_are_listed_exist(name: str) -> None:
    errors = _error_of_selector(name)
    assert errors.count("is not supported here") < 2


def test_operators_of_selectors_that_are_not_here_are_refused() -> None:
    (line,) = re.findall(r"^Not here: .*$", _section("Selectors"), re.MULTILINE)
    names = _operators(line)
    assert len(names) > 5
    assert all(_error_of_selector(name).count("is not supported here") == 2 for name in names)


@pytest.mark.parametrize("name", _in_tables("Modifiers"))
def test_operators_of_modifiers_that_are_listed_exist(name: str) -> None:
    if name in ("$each", "$position", "$slice", "$sort"):
        Modifier({"$push": {"a": {name: 1, "$each": []}}})
        return
    with pytest.raises(MinimongoError) as refused:
        Modifier({name: {"": 1}})
    assert "is no operator" not in str(refused.value)


def test_the_limits_are_those_of_the_code() -> None:
    values = re.findall(r"^\| [^|]+ \| ([\d.]+)[^|]*\|[^|]*\|$", _section("Limits"), re.MULTILINE)
    assert list(map(float, values)) == [
        MAX_PATTERN_LENGTH,
        MAX_EXPANDED_LENGTH,
        MATCH_TIMEOUT_S,
        MAX_SELECTOR_NESTING,
        MAX_NESTING,
        MAX_PADDING,
        MAX_POSITION,
    ]

"""Printable: no text of a stranger commands the terminal."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from bolide.core import ejson
from bolide.ops.terminal.printable import cell_text, json_text, printable


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    assert printable(text).isprintable()
    assert json_text(text).isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_means_the_same(text: str) -> None:
    assert ejson.parse(json_text({text: text})) == {text: text}


def test_terminal_commands_are_shown_as_escapes() -> None:
    assert printable("\x1b[2J\u202eada\U000e0001") == "\\u001b[2J\\u202eada\\udb40\\udc01"


def test_pretty_json_keeps_its_lines() -> None:
    value = {"a": ["\x85"]}
    assert json_text(value, is_pretty=True) == '{\n  "a": [\n    "\\u0085"\n  ]\n}'


def test_cells_show_strings_and_dates_as_people_write_them() -> None:
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert cell_text("Ada\n") == "Ada\\u000a"
    assert cell_text(noon) == "2026-11-25 12:00:00"
    assert cell_text(noon.astimezone(timezone(timedelta(hours=5)))) == "2026-11-25 12:00:00"
    assert cell_text(noon.replace(tzinfo=None)) == "2026-11-25 12:00:00"
    values = [1, 1.5, True, None, {"a": 1}]
    assert [cell_text(value) for value in values] == ["1", "1.5", "true", "null", '{"a":1}']

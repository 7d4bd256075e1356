"""Turn values into text that a terminal shows and never obeys."""

from datetime import UTC, datetime
from typing import Any

from bolide.core import ejson

__all__ = ["cell_text", "json_text", "printable"]


def printable(text: str) -> str:
    r"""Escape what is no visible character, such as ``\u001b``, with which a terminal is commanded.

    A document's text is a stranger's: it could move the cursor, change colours or reverse the
    direction of writing.

    Args:
        text: Anything.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


# Values of documents and of errors' details have no static type.
def json_text(value: Any, *, is_pretty: bool = False) -> str:
    """Write a value as EJSON that reads back equal, without anything that is not visible.

    Args:
        value: Any value.
        is_pretty: Several lines, indented by two.
    """
    text = ejson.stringify(value, indent=2 if is_pretty else None)
    # What is not printable inside JSON stands in strings, where an escape means the same.
    return "\n".join(printable(line) for line in text.split("\n"))


def cell_text(value: Any) -> str:
    """Write a value for a table: strings without quotes, dates as ``2026-11-25 08:30:00``, UTC.

    Args:
        value: Any value.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, datetime):
        date = value if value.tzinfo is None else value.astimezone(UTC)
        return f"{date:%Y-%m-%d %H:%M:%S}"
    return json_text(value)

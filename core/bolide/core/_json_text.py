"""Write JSON text byte for byte as JavaScript's ``JSON.stringify`` does."""

import json
import re
from typing import Final, TypeAlias

__all__ = ["JSON", "number_text", "write_json"]

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""What :mod:`json` would give."""

_CONSTANTS: Final = {None: "null", True: "true", False: "false"}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_quote = json.JSONEncoder(ensure_ascii=False).encode


def write_json(tree: JSON, *, indent: int | str | bool | None, sort_keys: bool) -> str:
    """Write a tree of plain JSON.

    Args:
        tree: Its floats are finite.
        indent: Number of spaces, or the text itself; True means two spaces, None one line.
        sort_keys: Sort by UTF-16 code units instead of keeping the order.
    """
    if indent is True:
        indent = 2
    step = " " * indent if isinstance(indent, int) else indent or ""
    return _text(tree, "\n" if step else "", step, sort_keys)


def number_text(number: int | float) -> str:
    """Write a finite number as ECMAScript's ``Number::toString`` does: ``1``, ``1e+21``, ``1e-7``.

    Integers are written in full, whatever their size.
    """
    if isinstance(number, int):
        return str(int(number))
    sign, digits, point = _shortest_digits(number)
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = "." + digits[1:] if count > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _shortest_digits(number: float) -> tuple[str, str, int]:
    """Return the sign, the digits and where the point is: ``0.digits * 10**point``."""
    if number == 0:
        return "", "0", 1
    # Python's repr() gives the same shortest digits, written another way.
    text = repr(number)
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    return sign, digits.rstrip("0"), point


def _text(tree: JSON, newline: str, step: str, sort_keys: bool) -> str:
    """Write ``tree``, whose own lines begin with ``newline``, empty for one line."""
    if isinstance(tree, str):
        return _string_text(tree)
    if tree is None or isinstance(tree, bool):
        return _CONSTANTS[tree]
    if isinstance(tree, (int, float)):
        return number_text(tree)
    deeper = newline and newline + step
    if isinstance(tree, list):
        parts = [_text(item, deeper, step, sort_keys) for item in tree]
        return _enclose("[", parts, "]", newline, deeper)
    names = _sorted_names(tree) if sort_keys else tree
    colon = ": " if newline else ":"
    parts = [
        f"{_string_text(name)}{colon}{_text(tree[name], deeper, step, sort_keys)}" for name in names
    ]
    return _enclose("{", parts, "}", newline, deeper)


def _enclose(opening: str, parts: list[str], closing: str, newline: str, deeper: str) -> str:
    if not parts:
        return opening + closing
    return f"{opening}{deeper}{f',{deeper}'.join(parts)}{newline}{closing}"


def _string_text(text: str) -> str:
    quoted = _quote(text)
    if quoted.isascii():
        return quoted
    # Half a pair is written as an escape, so that the text as a whole is UTF-8.
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", quoted)


def _sorted_names(tree: dict[str, JSON]) -> list[str]:
    # Python sorts by characters; below the surrogates that is the same, and faster.
    return sorted(tree) if "".join(tree).isascii() else sorted(tree, key=_utf16)


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")

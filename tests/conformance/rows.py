"""Load the conformance rows that lie beside the checkout, with their values decoded.

Rows are data of the real Meteor and never part of this repository. Where the folder is absent the
importing test module is skipped; where it exists, a missing file is an error.
"""

import base64
import json
import math
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Rows hold values of any shape; the tests know which.
from typing import Any, Final, TypeAlias

import pytest
from tests.conformance.exceptions import LEFT_OUT, Key, reason_of

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import (
    INVALID_DATE,
    UNDEFINED,
    Decimal128,
    ObjectId,
    Regex,
    date_from_millis,
)

__all__ = ["CHECKED", "FOLDER", "JSON", "Row", "decode", "for_each", "load", "passing"]

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
CHECKED: Final[set[Key]] = set()
"""The rows that a test of the modules imported so far checks."""

_FAILURES: Final = (AssertionError, MinimongoError, pytest.fail.Exception)
_HEX_24 = re.compile("[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file.

    Attributes:
        file: Name of the file without ``.jsonl``.
        number: Counted from 1, as an editor does.
        raw: The line as plain JSON; ``row[key]`` is the same with values decoded.
    """

    file: str
    number: int
    raw: dict[str, JSON]

    @property
    def key(self) -> Key:
        """The name of the row among the exceptions."""
        return self.file, self.number

    def __getitem__(self, key: str) -> Any:
        return decode(self.raw[key])

    def __contains__(self, key: object) -> bool:
        return key in self.raw

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"

    def get(self, key: str, default: Any = None) -> Any:
        """Return the decoded value of ``key``, or ``default``."""
        return decode(self.raw[key]) if key in self.raw else default


def load(name: str) -> list[Row]:
    """Read one file, for example ``load("match")``; call it while the module is imported.

    Raises:
        pytest.skip.Exception: If there is no conformance folder.
        FileNotFoundError: If there is one, without this file.
    """
    if not FOLDER.is_dir():
        pytest.skip("the conformance rows are not beside this checkout", allow_module_level=True)
    with (FOLDER / f"{name}.jsonl").open(encoding="utf-8", newline="\n") as lines:
        return [
            Row(name, number, json.loads(line))
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]


def for_each(rows: Sequence[Row]) -> pytest.MarkDecorator:
    """Run a test, which checks a row with :func:`passing`, for each of these that is not left out.

    Every row is checked by one such test, see ``test_exceptions``.
    """
    kept = [row for row in rows if row.key not in LEFT_OUT]
    CHECKED.update(row.key for row in kept)
    return pytest.mark.parametrize("row", kept, ids=str)


@contextmanager
def passing(row: Row) -> Generator[None]:
    """Expect the check inside to pass, and to fail if the row is named among the exceptions."""
    reason = reason_of(row.key)
    try:
        yield
    except _FAILURES:
        if reason is None:
            raise
    else:
        if reason is not None:
            pytest.fail(f"{row} passes now: take it out of exceptions.py")


def decode(tree: JSON) -> Any:
    """Turn EJSON with explicit types into values; ``{"$undefined": true}`` is UNDEFINED."""
    if isinstance(tree, list):
        return [decode(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree:
        case {"$undefined": True, **rest} if not rest:
            return UNDEFINED
        case {"$date": millis, **rest} if not rest:
            return date_from_millis(millis) if isinstance(millis, int) else INVALID_DATE
        case {"$binary": str(text), **rest} if not rest:
            return base64.b64decode(text, validate=True)
        case {"$InfNaN": int(sign), **rest} if not rest:
            return sign * math.inf if sign else math.nan
        case {"$regexp": str(pattern), "$flags": str(flags), **rest} if not rest:
            return Regex(pattern, flags)
        case {"$type": "oid", "$value": str(text), **rest} if not rest and _HEX_24.fullmatch(text):
            return ObjectId(text)
        case {"$type": "Decimal", "$value": str(text), **rest} if not rest:
            return Decimal128(text)
        case {"$escape": dict(escaped), **rest} if not rest:
            return {name: decode(item) for name, item in escaped.items()}
        case _:
            return {name: decode(item) for name, item in tree.items()}

"""Regular expressions of JavaScript, run with a time limit.

Who writes the pattern may be a client. So its length and each search are limited, and its length
with all repetitions written out, which is how the `regex` package compiles it: twenty nested
``( )+`` would fill the memory. What runs is not the pattern but what
:mod:`~bolide.core.minimongo.regexes.patterns` makes of it.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import regex

from bolide.core.minimongo.errors import MatchTimeout, MinimongoError
from bolide.core.minimongo.regexes.patterns import expanded_length, parts_of
from bolide.core.values import Regex

__all__ = [
    "FLAGS",
    "MATCH_TIMEOUT_S",
    "MAX_EXPANDED_LENGTH",
    "MAX_PATTERN_LENGTH",
    "TimeLimit",
    "portable",
    "regex_test",
]

MATCH_TIMEOUT_S: Final = 0.1
"""Longest time one search in one text may take, seconds."""

MAX_PATTERN_LENGTH: Final = 1_000
"""Longest pattern, characters."""

MAX_EXPANDED_LENGTH: Final = 20_000
"""Longest pattern with all repetitions written out, characters; about 25 MB when compiled."""

FLAGS: Final = "gim"
"""The flags that are accepted; ``g`` means nothing in a selector."""

_CACHED_PATTERNS: Final = 256

_shared_time: ContextVar[Callable[[], float] | None] = ContextVar("_shared_time", default=None)


class TimeLimit:
    """Lets the searches inside its ``with`` block share a time, besides each having its own limit.

    A selector may have many patterns, and a document many texts. One object serves many blocks,
    one after the other.
    """

    __slots__ = ("_time_left", "_token")

    def __init__(self, time_left: Callable[[], float]) -> None:
        """Prepare the block.

        Args:
            time_left: Tells what is left of the time, seconds; asked before each search.
        """
        self._time_left = time_left

    def __enter__(self) -> None:
        self._token = _shared_time.set(self._time_left)

    def __exit__(self, *_: object) -> None:
        _shared_time.reset(self._token)


def regex_test(pattern: str, flags: str = "") -> Callable[[object], bool]:
    """Compile a regular expression into a test of values.

    Args:
        pattern: JavaScript source, without slashes.
        flags: Letters of :data:`FLAGS`.

    Returns:
        A function that tells whether a text contains a match, or whether a value is this very
        regular expression. It raises MatchTimeout if that takes too long.

    Raises:
        MinimongoError: If the pattern is too long or cannot be compiled, or a flag is unknown.
    """
    compiled = _compiled(pattern, flags)
    letters = set(flags)

    def test(value: object) -> bool:
        if type(value) is str:
            time_left = _shared_time.get()
            timeout = MATCH_TIMEOUT_S if time_left is None else min(MATCH_TIMEOUT_S, time_left())
            if timeout <= 0:
                raise MatchTimeout(MATCH_TIMEOUT_S)
            try:
                return compiled.search(value, timeout=timeout) is not None
            except TimeoutError as error:
                raise MatchTimeout(MATCH_TIMEOUT_S) from error
        if isinstance(value, Regex):
            return value.pattern == pattern and set(value.flags) == letters
        return False

    return test


def portable(pattern: str, flags: str = "") -> str:
    """Rewrite a regular expression so that the `regex` package and PCRE match what JavaScript does.

    Args:
        pattern: JavaScript source, without slashes.
        flags: Letters of :data:`FLAGS`; of these only ``i`` is still needed beside the result.

    Raises:
        MinimongoError: If the pattern is too long or holds what is not supported, or a flag is
            unknown.
    """
    if not set(flags) <= set(FLAGS):
        raise MinimongoError("Only the flags g, i and m of regular expressions are supported.")
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise MinimongoError(
            f"A regular expression may have at most {MAX_PATTERN_LENGTH} characters."
        )
    parts = parts_of(pattern, multiline="m" in flags, ignore_case="i" in flags)
    if expanded_length(parts) > MAX_EXPANDED_LENGTH:
        raise MinimongoError(
            "The repetitions of a regular expression multiply to too much; nest fewer of them."
        )
    return "".join(parts)


@lru_cache(maxsize=_CACHED_PATTERNS)
def _compiled(pattern: str, flags: str) -> "regex.Pattern[str]":
    options = regex.VERSION0
    if "i" in flags:
        options |= regex.IGNORECASE
    try:
        return regex.compile(portable(pattern, flags), options)
    except (regex.error, OverflowError, RecursionError) as error:
        raise MinimongoError(
            "A regular expression cannot be compiled; check its syntax."
        ) from error

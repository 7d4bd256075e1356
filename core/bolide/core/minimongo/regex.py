r"""Regular expressions of JavaScript, run with a time limit.

Who writes the pattern may be a client. So its length and each search are limited, and its length
with all repetitions written out, which is how the `regex` package compiles it: twenty nested
``( )+`` would fill the memory. Only what JavaScript and MongoDB (PCRE) both understand is accepted.
Where they differ from the package, the pattern is rewritten:

- ``$`` without the flag ``m`` is the very end, not the place before a last line feed;
- ``\d``, ``\w`` and ``\b`` know ASCII only, while the flag ``i`` knows all letters;
- ``{`` that begins no quantifier, and ``[`` inside a class, stand for themselves;
- ``[]`` matches nothing, ``[^]`` any character; ``\/`` is a slash, ``\k<name>`` a group's text.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import regex

from bolide.core.minimongo.errors import MatchTimeout, MinimongoError
from bolide.core.values import Regex

__all__ = [
    "FLAGS",
    "MATCH_TIMEOUT_S",
    "MAX_EXPANDED_LENGTH",
    "MAX_PATTERN_LENGTH",
    "TimeLimit",
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

_DIGIT: Final = "0-9"
_NO_DIGIT: Final = r"\x00-/:-\U0010ffff"
_WORD: Final = "0-9A-Za-z_"
_NO_WORD: Final = r"\x00-/:-@\[-\^`{-\U0010ffff"
_AFTER, _BEFORE = f"(?<=[{_WORD}])", f"(?=[{_WORD}])"
_NOT_AFTER, _NOT_BEFORE = f"(?<![{_WORD}])", f"(?![{_WORD}])"

_RANGES: Final = {"d": _DIGIT, "D": _NO_DIGIT, "w": _WORD, "W": _NO_WORD}
_BOUNDARIES: Final = {
    "b": f"(?:{_AFTER}{_NOT_BEFORE}|{_NOT_AFTER}{_BEFORE})",
    "B": f"(?:{_AFTER}{_BEFORE}|{_NOT_AFTER}{_NOT_BEFORE})",
}

# A class is one token; what is in it is cut by _IN_CLASS.
_TOKEN: Final = re.compile(
    r"""
      (?P<reference> \\k<(?P<name>[A-Za-z_]\w*)> )
    | (?P<escape> \\(?: u[0-9A-Fa-f]{4} | x[0-9A-Fa-f]{2} | [^ux] ) )
    | (?P<class> \[ (?P<not>\^?) (?P<body>(?: [^\]\\] | \\. )*) \] )
    | (?P<quantifier> \{\d+(?:,\d*)?\} )
    | (?P<brace> \{ )
    | (?P<end> \$ )
    | (?P<group> \(\?(?: [:=!] | <[=!] | <[A-Za-z_]\w*> ) )
    | (?P<refused> \\ | \[ | \(\? )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_CLASS: Final = re.compile(
    r"""
      (?P<escape> \\(?: u[0-9A-Fa-f]{4} | x[0-9A-Fa-f]{2} | [^ux] ) )
    | (?P<bracket> \[ )
    | (?P<refused> \\ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_ESCAPES: Final = frozenset("fnrstSvux")


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


@lru_cache(maxsize=_CACHED_PATTERNS)
def _compiled(pattern: str, flags: str) -> "regex.Pattern[str]":
    if not set(flags) <= set(FLAGS):
        raise MinimongoError("Only the flags g, i and m of regular expressions are supported.")
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise MinimongoError(
            f"A regular expression may have at most {MAX_PATTERN_LENGTH} characters."
        )
    options = regex.VERSION0
    if "i" in flags:
        options |= regex.IGNORECASE
    if "m" in flags:
        options |= regex.MULTILINE
    try:
        return regex.compile(_translated(pattern, multiline="m" in flags), options)
    except (regex.error, OverflowError, RecursionError) as error:
        raise MinimongoError(
            "A regular expression cannot be compiled; check its syntax."
        ) from error


def _translated(pattern: str, *, multiline: bool) -> str:
    """Rewrite JavaScript's syntax for the `regex` package.

    Raises:
        MinimongoError: If something in it is not supported, or it repeats too much.
    """
    parts = [_rewritten(token, multiline) for token in _TOKEN.finditer(pattern)]
    if _expanded_length(parts) > MAX_EXPANDED_LENGTH:
        raise MinimongoError(
            "The repetitions of a regular expression multiply to too much; nest fewer of them."
        )
    return "".join(parts)


def _expanded_length(parts: list[str]) -> int:
    """Count the characters of a pattern whose repetitions are written out.

    What is to occur at least n times counts n + 1 times, as the `regex` package compiles it.
    """
    # Of the groups that are open, outermost first; and of what a quantifier would repeat.
    lengths, last = [0], 0
    for part in parts:
        if part.startswith("(") and not part.endswith(")"):
            lengths.append(len(part))
            last = 0
        elif part == ")" and len(lengths) > 1:
            last = lengths.pop() + 1
            lengths[-1] += last
        elif part == "+" or part.startswith("{"):
            more = last if part == "+" else last * int(part[1:-1].split(",")[0])
            last += more
            lengths[-1] += more
        else:
            last = len(part)
            lengths[-1] += last
    return sum(lengths)


def _rewritten(token: re.Match[str], multiline: bool) -> str:
    text = token.group()
    match token.lastgroup:
        case "reference":
            return f"(?P={token['name']})"
        case "escape":
            letter = text[1]
            if letter in _RANGES:
                return f"[{_RANGES[letter]}]"
            return _BOUNDARIES.get(letter) or _checked_escape(text)
        case "class":
            return _rewritten_class(token["not"], token["body"])
        case "brace":
            return r"\{"
        case "end":
            return "$" if multiline else r"\Z"
        case "refused":
            raise _refusal(text)
        case _:
            return text


def _rewritten_class(negation: str, body: str) -> str:
    if not body:
        return r"[\s\S]" if negation else "(?!)"
    return f"[{negation}{''.join(map(_rewritten_in_class, _IN_CLASS.finditer(body)))}]"


def _rewritten_in_class(token: re.Match[str]) -> str:
    text = token.group()
    match token.lastgroup:
        case "escape":
            letter = text[1]
            return r"\x08" if letter == "b" else _RANGES.get(letter) or _checked_escape(text)
        case "bracket":
            return r"\["
        case "refused":
            raise _refusal(text)
        case _:
            return text


def _checked_escape(text: str) -> str:
    letter = text[1]
    if letter.isalpha() and letter not in _PLAIN_ESCAPES:
        raise _refusal(text)
    return text


def _refusal(text: str) -> MinimongoError:
    return MinimongoError(f"Regular expressions do not support {text!r} here.")

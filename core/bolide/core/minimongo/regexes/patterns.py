r"""Patterns of regular expressions, rewritten for other engines than JavaScript's.

The same text is given to the `regex` package and, by the store, to MongoDB (PCRE): a live query is
read by one and followed by the other. So whatever they take otherwise than JavaScript is written
out:

- ``$`` is the very end, not the place before a last line feed; with the flag ``m`` it and ``^`` are
  at JavaScript's line terminators, which ``.`` does not match;
- ``\d``, ``\w`` and ``\b`` know ASCII only, ``\s`` is JavaScript's white space, also with ``i``;
- ``{`` that begins no quantifier stands for itself; inside a class so do ``[``, ``&&``, ``||`` and
  each ``-`` that makes no range;
- a quantifier after a quantifier, which would be possessive, is refused;
- ``[]`` matches nothing, ``[^]`` any character; ``\/`` is a slash, ``\k<name>`` a group's text;
- ``\uXXXX`` and ``\xXX`` are the character itself, two halves of one are one;
- with ``i`` the dotless and the dotted I, the long S and the Kelvin sign are letters of their own.

Which letters are otherwise equal with ``i`` depends on the engine's version of Unicode.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from bolide.core.minimongo.errors import MinimongoError

__all__ = ["expanded_length", "parts_of"]

_DIGIT: Final = "0-9"
_NO_DIGIT: Final = "\\x00-/:-\U0010ffff"
_WORD: Final = "0-9A-Za-z_"
_NO_WORD: Final = "\\x00-/:-@\\[-\\^`{-\U0010ffff"
_SPACE: Final = "\\x09-\\x0d \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE: Final = (
    "\\x00-\\x08\\x0e-\\x1f!-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    "\u2060-\u2fff\u3001-\ufefe\uff00-\U0010ffff"
)
_RANGES: Final = {
    "d": _DIGIT, "D": _NO_DIGIT, "w": _WORD, "W": _NO_WORD, "s": _SPACE, "S": _NO_SPACE,
}  # fmt: skip

_AFTER, _BEFORE = f"(?-i:(?<=[{_WORD}]))", f"(?-i:(?=[{_WORD}]))"
_NOT_AFTER, _NOT_BEFORE = f"(?-i:(?<![{_WORD}]))", f"(?-i:(?![{_WORD}]))"
_BOUNDARIES: Final = {
    "b": f"(?:{_AFTER}{_NOT_BEFORE}|{_NOT_AFTER}{_BEFORE})",
    "B": f"(?:{_AFTER}{_BEFORE}|{_NOT_AFTER}{_NOT_BEFORE})",
}

_LINE_ENDS: Final = "\\x0a\\x0d\u2028\u2029"
_DOT: Final = f"[^{_LINE_ENDS}]"
_END: Final = r"(?![\s\S])"
_LINE_BEGIN: Final = f"(?<!{_DOT})"
_LINE_END: Final = f"(?!{_DOT})"
# What is written for one character of the pattern, and compiled to as little.
_SHORT: Final = frozenset({_DOT, _END, _LINE_BEGIN, _LINE_END})

_HEX: Final = "[0-9A-Fa-f]"
_CHARACTER: Final = (
    rf"u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}} | u{_HEX}{{4}} | x{_HEX}{{2}}"
)

# A class is one token; what is in it is cut by _IN_CLASS.
_TOKEN: Final = re.compile(
    rf"""
      (?P<reference> \\k<(?P<name>[A-Za-z_]\w*)> )
    | (?P<character> \\(?: {_CHARACTER} ) )
    | (?P<escape> \\[^ux] )
    | (?P<class> \[ (?P<not>\^?) (?P<body>(?: [^\]\\] | \\. )*) \] )
    | (?P<quantifier> [*+?] | \{{\d+(?:,\d*)?\}} )
    | (?P<brace> \{{ )
    | (?P<dot> \. )
    | (?P<begin> \^ )
    | (?P<end> \$ )
    | (?P<group> \(\?(?: [:=!] | <[=!] | <[A-Za-z_]\w*> ) )
    | (?P<refused> \\ | \[ | \(\? )
    | (?P<operator> [()|] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_CLASS: Final = re.compile(
    rf"""
      (?P<character> \\(?: {_CHARACTER} ) )
    | (?P<escape> \\[^ux] )
    | (?P<bracket> \[ )
    | (?P<refused> \\ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_ESCAPES: Final = frozenset("fnrt")
_SPECIAL: Final = frozenset("\\^$.|?*+()[]{}-/")
# Twice they make sets of classes, or will; after a bracket they name classes.
_SPECIAL_IN_CLASS: Final = frozenset("-&|~:.=")

# Letters that other engines take as one with ``i``, and those that JavaScript does.
_EQUAL_LETTERS: Final = {
    "i": "iI", "I": "iI", "\u0131": "\u0131", "\u0130": "\u0130",
    "s": "sS", "S": "sS", "\u017f": "\u017f",
    "k": "kK", "K": "kK", "\u212a": "\u212a",
}  # fmt: skip


def parts_of(pattern: str, *, multiline: bool, ignore_case: bool) -> list[str]:
    """Rewrite a pattern, in parts that can be repeated.

    Args:
        pattern: JavaScript source, without slashes.
        multiline: With the flag ``m``.
        ignore_case: With the flag ``i``.

    Raises:
        MinimongoError: If something in it is not supported.
    """
    rewrite = partial(_rewritten, multiline=multiline, ignore_case=ignore_case)
    parts: list[str] = []
    repeated = lazy = False
    for token in _TOKEN.finditer(pattern):
        is_quantifier = token.lastgroup == "quantifier"
        if is_quantifier and (lazy or (repeated and token.group() != "?")):
            raise _refusal(token.group())
        lazy = is_quantifier and repeated
        repeated = is_quantifier
        parts.append(rewrite(token))
    return parts


def expanded_length(parts: Sequence[str]) -> int:
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
            last = 1 if part in _SHORT else len(part)
            lengths[-1] += last
    return sum(lengths)


def _rewritten(token: re.Match[str], *, multiline: bool, ignore_case: bool) -> str:
    text = token.group()
    match token.lastgroup:
        case "reference":
            return f"(?P={token['name']})"
        case "character":
            return _letter(_character(text), ignore_case)
        case "escape":
            return _rewritten_escape(text, ignore_case)
        case "class":
            return _rewritten_class(token["not"], token["body"], ignore_case)
        case "brace":
            return r"\{"
        case "dot":
            return _DOT
        case "begin":
            return _LINE_BEGIN if multiline else text
        case "end":
            return _LINE_END if multiline else _END
        case "refused":
            raise _refusal(text)
        case "other":
            return _letter(text, ignore_case)
        case _:
            return text


def _rewritten_escape(text: str, ignore_case: bool) -> str:
    letter = text[1]
    if letter in _BOUNDARIES:
        return _BOUNDARIES[letter]
    if letter in _RANGES:
        # The letters of other alphabets that are equal to one of ASCII are none.
        return f"(?-i:[{_RANGES[letter]}])" if ignore_case else f"[{_RANGES[letter]}]"
    return _checked_escape(text)


def _letter(character: str, ignore_case: bool) -> str:
    if ignore_case and character in _EQUAL_LETTERS:
        return f"(?-i:[{_EQUAL_LETTERS[character]}])"
    return _written(character)


def _rewritten_class(negation: str, body: str, ignore_case: bool) -> str:
    if not body:
        return r"[\s\S]" if negation else "(?!)"
    inner = _rewritten_body(list(_IN_CLASS.finditer(body)))
    if not ignore_case:
        return f"[{negation}{inner}]"
    return _class_without_case(negation, inner)


def _rewritten_body(tokens: Sequence[re.Match[str]]) -> str:
    """Write what is in a class, so that a ``-`` that makes no range is one for nobody else."""
    parts = [_rewritten_in_class(token) for token in tokens]
    many = {index for index, token in enumerate(tokens) if token.group()[1:] in _RANGES}
    written: list[str] = []
    index = 0
    while index < len(parts):
        end = index + 2
        if end < len(parts) and tokens[index + 1].group() == "-":
            # With several characters on a side there is no range, and the hyphen is one.
            hyphen = r"\-" if index in many or end in many else "-"
            written += parts[index], hyphen, parts[end]
            index += 3
        else:
            written.append(parts[index])
            index += 1
    return "".join(written)


def _class_without_case(negation: str, inner: str) -> str:
    """Write a class for the flag ``i``, in which no letter is another alphabet's."""
    try:
        held = re.compile(f"[{inner}]")
    except re.error:
        return f"[{negation}{inner}]"  # whoever compiles it refuses it, too
    other = "".join(
        letter
        for letter, equals in _EQUAL_LETTERS.items()
        if not any(held.match(equal) for equal in equals)
    )
    if len(other) in (0, len(_EQUAL_LETTERS)):
        return f"[{negation}{inner}]"
    found = f"(?:(?!(?-i:[{other}]))[{inner}])"
    return rf"(?:(?!{found})[\s\S])" if negation else found


def _rewritten_in_class(token: re.Match[str]) -> str:
    text = token.group()
    match token.lastgroup:
        case "character":
            return _written(_character(text))
        case "escape":
            letter = text[1]
            return r"\x08" if letter == "b" else _RANGES.get(letter) or _checked_escape(text)
        case "bracket":
            return r"\["
        case "refused":
            raise _refusal(text)
        case _:
            return f"\\{text}" if text in _SPECIAL_IN_CLASS else text


def _character(text: str) -> str:
    """Return the character that an escape with its number stands for."""
    character = "".join(chr(int(part[1:], 16)) for part in text.split("\\")[1:])
    try:
        return character.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise MinimongoError(
            "Regular expressions do not support the half of a character; write both."
        ) from None


def _written(character: str) -> str:
    """Write a character so that it stands for itself, alone and in a class."""
    if character in _SPECIAL:
        return f"\\{character}"
    return rf"\x{ord(character):02x}" if character < " " else character


def _checked_escape(text: str) -> str:
    letter = text[1]
    if letter == "0":
        return r"\x00"
    if letter == "v":
        return r"\x0b"
    if letter.isalpha() and letter not in _PLAIN_ESCAPES:
        raise _refusal(text)
    return text


def _refusal(text: str) -> MinimongoError:
    return MinimongoError(f"Regular expressions do not support {text!r} here.")

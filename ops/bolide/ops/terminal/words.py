"""Read the arguments of publications and methods as a person types them."""

from collections.abc import Iterable

from bolide.core import ejson
from bolide.core.errors import EJSONError
from bolide.core.values import EJSONValue

__all__ = ["WrongWord", "read_words"]

_OPENINGS = ("{", "[", '"')


class WrongWord(ValueError):
    """A word that begins like JSON and is none; the text says which."""


def read_words(words: Iterable[str]) -> list[EJSONValue]:
    """Read each word as EJSON; what is none is a string.

    So ``7`` is a number, ``"7"`` a string, ``true`` a boolean, ``north`` a string and
    ``{"$date": 0}`` a date.

    Args:
        words: What the shell passed on.

    Raises:
        WrongWord: If a word begins as an object, an array or a quoted string, but does not end so.
    """
    return [_read(word, number) for number, word in enumerate(words, 1)]


def _read(word: str, number: int) -> EJSONValue:
    try:
        return ejson.parse(word)
    except EJSONError:
        if word.lstrip().startswith(_OPENINGS):
            raise WrongWord(
                f"Argument {number} begins like JSON but cannot be read; put it in single quotes"
                """, as in '{"ward": "7"}'."""
            ) from None
        return word

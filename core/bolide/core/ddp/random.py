"""Streams of ids that a client and the server draw alike, from the ``randomSeed`` of a method.

A method that inserts a document gives it the id that the client's simulation gave it already. Who
knows the seed knows the ids, so nothing here protects anything: tokens come from ``secrets``.

The generator is Alea by Johannes Baagøe; names of streams follow Meteor's ``ddp-common``:
``/collection/<name>`` for ids of documents, ``/rpc/<method>`` for seeds of nested calls.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from bolide.core._json_text import number_text

__all__ = ["RandomStream", "SeededStreams", "random_seed"]

T = TypeVar("T")

_UNMISTAKABLE: Final = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
_HEX: Final = "0123456789abcdef"
_BASE64: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_SEED_BYTES: Final = 10
_2_32: Final = 2.0**32
_DEFAULT_STREAM: Final = "default"  # as Meteor's DDP.randomStream names it


def random_seed(entropy: bytes) -> str:
    """Make a seed as Meteor's clients do: 20 hex digits.

    Args:
        entropy: 10 random bytes.

    Raises:
        ValueError: If there are fewer or more.
    """
    if len(entropy) != _SEED_BYTES:
        raise ValueError(f"A seed takes {_SEED_BYTES} random bytes, not {len(entropy)}.")
    return entropy.hex()


class RandomStream:
    """One sequence; the same seeds give the same sequence in every language."""

    __slots__ = ("_carry", "_s0", "_s1", "_s2")

    def __init__(self, *seeds: str | int | float) -> None:
        """Begin the sequence.

        Args:
            seeds: Any number of them; their order counts.
        """
        mash = _Mash()
        states = [mash.add(" ") for _ in range(3)]
        for seed in seeds:
            text = seed if isinstance(seed, str) else number_text(seed)
            for index in range(3):
                states[index] -= mash.add(text)
                if states[index] < 0:
                    states[index] += 1
        self._s0, self._s1, self._s2 = states
        self._carry = 1

    def fraction(self) -> float:
        """Return the next number, at least 0 and below 1, in steps of 2**-32."""
        total = 2091639 * self._s0 + self._carry / _2_32
        self._carry = int(total)
        self._s0, self._s1, self._s2 = self._s1, self._s2, total - self._carry
        return self._s2

    def choice(self, items: Sequence[T]) -> T:
        """Return one of ``items``; IndexError if there is none."""
        return items[int(self.fraction() * len(items))]

    def id(self, length: int = 17) -> str:
        """Return an id of characters that are not easily mistaken for each other."""
        return self._text(_UNMISTAKABLE, length)

    def hex(self, digits: int) -> str:
        """Return so many hex digits."""
        return self._text(_HEX, digits)

    def secret(self, length: int = 43) -> str:
        """Return base64 digits as ``Random.secret`` does; no secret to who knows the seed."""
        return self._text(_BASE64, length)

    def _text(self, alphabet: str, length: int) -> str:
        return "".join([self.choice(alphabet) for _ in range(length)])


class SeededStreams:
    """The streams of one method invocation, by name.

    A method draws from them, and so does a client's simulation with the same seed.
    """

    __slots__ = ("_seed", "_streams")

    def __init__(self, seed: str | Callable[[], str]) -> None:
        """Make no stream yet.

        Args:
            seed: The message's ``randomSeed``, one of :func:`random_seed`, or a function that
                makes one when the first stream is asked for.
        """
        self._seed = seed
        self._streams: dict[str, RandomStream] = {}

    def stream(self, name: str) -> RandomStream:
        """Return the stream of this name; it goes on where it was left."""
        stream = self._streams.get(name)
        if stream is None:
            if not isinstance(self._seed, str):
                self._seed = self._seed()
            stream = self._streams[name] = RandomStream(self._seed, name)
        return stream

    def id(self) -> str:
        """Return an id of 17 characters, of the stream that needs no name."""
        return self.stream(_DEFAULT_STREAM).id()

    def hex(self, digits: int) -> str:
        """Return so many hex digits, of the stream that needs no name."""
        return self.stream(_DEFAULT_STREAM).hex(digits)

    def fraction(self) -> float:
        """Return a number of at least 0 and below 1, of the stream that needs no name."""
        return self.stream(_DEFAULT_STREAM).fraction()


class _Mash:
    """Baagøe's hash of texts to fractions, in the arithmetic of IEEE doubles."""

    __slots__ = ("_n",)

    def __init__(self) -> None:
        self._n: float = 0xEFC8249D

    def add(self, text: str) -> float:
        """Stir a text in; return a number of at least 0 and below 1."""
        n = self._n
        for unit in _utf16_units(text):
            n += unit
            h = 0.02519603282416938 * n
            n = _uint32(h)
            h = (h - n) * n
            n = _uint32(h)
            n += (h - n) * _2_32
        self._n = n
        return _uint32(n) / _2_32


def _uint32(number: float) -> float:
    """Do what ``>>> 0`` does in JavaScript to a number that is not negative."""
    return float(int(number) & 0xFFFFFFFF)


def _utf16_units(text: str) -> Iterable[int]:
    if text.isascii():
        return text.encode("ascii")
    data = text.encode("utf-16-le", "surrogatepass")
    return struct.unpack(f"<{len(data) // 2}H", data)

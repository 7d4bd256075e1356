"""The first words of a TLS handshake: what a client offers, and what a server answers to it.

OpenSSL does the handshakes; this is for asking a listener what it would take, one offer at a
time, which a client that OpenSSL makes cannot: it has no say over a single suite of TLS 1.3, and
no old version at all. An offer of TLS 1.3 carries no key share, so a server that takes it names
suite and group in a HelloRetryRequest, without a key on either side (RFC 8446, section 4.1.4).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from bolide.core.errors import RemoteProtocolError

__all__ = ["RANDOM_BYTES", "Answer", "Choice", "Offer", "Refusal", "parse_answer", "parse_offer"]

RANDOM_BYTES: Final = 32

_TLS_1_2: Final = 0x0303
_TLS_1_3: Final = 0x0304
_ALERT, _HANDSHAKE = 21, 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURES = 10, 11, 13
_SUPPORTED_VERSIONS, _KEY_SHARE, _RENEGOTIATION = 43, 51, 0xFF01
# ECDSA on P-256 and P-384, RSA-PSS and RSA with SHA-256 to 512: any certificate can answer.
_ALGORITHMS: Final = (0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client would take; numbers are IANA's.

    Attributes:
        versions: Such as 0x0303 for TLS 1.2.
        suites: Such as 0x1302 for ``TLS_AES_256_GCM_SHA384``.
        groups: Such as 23 for P-256.
    """

    versions: tuple[int, ...]
    suites: tuple[int, ...]
    groups: tuple[int, ...]

    def serialize(self, random: bytes) -> bytes:
        """Write a ClientHello in a record.

        Args:
            random: :data:`RANDOM_BYTES` of them.
        """
        extensions = [
            _extension(_SUPPORTED_GROUPS, _vector(2, _numbers(self.groups))),
            _extension(_POINT_FORMATS, b"\x01\x00"),
            _extension(_SIGNATURES, _vector(2, _numbers(_ALGORITHMS))),
            _extension(_RENEGOTIATION, b"\x00"),
        ]
        if _TLS_1_3 in self.versions:
            extensions += [
                _extension(_SUPPORTED_VERSIONS, _vector(1, _numbers(self.versions))),
                _extension(_KEY_SHARE, _vector(2, b"")),
            ]
        hello = b"".join([
            min(_TLS_1_2, max(self.versions)).to_bytes(2),
            random,
            _vector(1, b""),  # no session
            _vector(2, _numbers(self.suites)),
            _vector(1, b"\x00"),  # no compression
            _vector(2, b"".join(extensions)),
        ])  # fmt: skip
        message = bytes([_CLIENT_HELLO]) + _vector(3, hello)
        return bytes([_HANDSHAKE, 3, 1]) + _vector(2, message)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server took of an offer.

    Attributes:
        version: Of TLS.
        suite: Number of the cipher suite.
        group: Of the key exchange; None before TLS 1.3, where a later message names it.
    """

    version: int
    suite: int
    group: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The alert of a server that took nothing.

    Attributes:
        description: Number of the alert, such as 40 for ``handshake_failure``.
    """

    description: int


Answer: TypeAlias = Choice | Refusal


def parse_answer(data: bytes) -> Answer:
    """Read what a server said first.

    Args:
        data: From its first byte; more may follow.

    Raises:
        RemoteProtocolError: If it is no answer of TLS.
    """
    kind, record = _record(data)
    if kind == _ALERT and len(record) == 2:
        return Refusal(record[1])
    reader = _handshake(kind, record, _SERVER_HELLO)
    version = reader.number(2)
    reader.take(RANDOM_BYTES)
    reader.vector(1)  # the session
    suite = reader.number(2)
    reader.take(1)  # the compression
    group = None
    for number, value in _extensions(reader):
        if number == _SUPPORTED_VERSIONS:
            version = value.number(2)
        elif number == _KEY_SHARE:
            group = value.number(2)
    return Choice(version, suite, group)


def parse_offer(data: bytes) -> Offer:
    """Read a ClientHello.

    Args:
        data: The record that holds it.

    Raises:
        RemoteProtocolError: If it holds none.
    """
    reader = _handshake(*_record(data), _CLIENT_HELLO)
    versions: tuple[int, ...] = (reader.number(2),)
    reader.take(RANDOM_BYTES)
    reader.vector(1)
    suites = reader.vector(2).numbers()
    reader.vector(1)
    groups: tuple[int, ...] = ()
    for number, value in _extensions(reader):
        if number == _SUPPORTED_VERSIONS:
            versions = value.vector(1).numbers()
        elif number == _SUPPORTED_GROUPS:
            groups = value.vector(2).numbers()
    return Offer(versions, suites, groups)


class _Reader:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, size: int) -> bytes:
        if len(self._data) < size:
            raise RemoteProtocolError("The message of TLS is cut short")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size_bytes: int) -> "_Reader":
        return _Reader(self.take(self.number(size_bytes)))

    def numbers(self) -> tuple[int, ...]:
        numbers = list[int]()
        while self:
            numbers.append(self.number(2))
        return tuple(numbers)


def _record(data: bytes) -> tuple[int, bytes]:
    reader = _Reader(data)
    kind = reader.number(1)
    if kind not in (_ALERT, _HANDSHAKE):
        raise RemoteProtocolError("The peer does not speak TLS")
    reader.take(2)  # the version of a record means nothing
    return kind, reader.take(reader.number(2))


def _handshake(kind: int, record: bytes, wanted: int) -> _Reader:
    reader = _Reader(record)
    if kind != _HANDSHAKE or reader.number(1) != wanted:
        raise RemoteProtocolError("This is another message of TLS")
    return reader.vector(3)


def _extensions(reader: _Reader) -> list[tuple[int, _Reader]]:
    found = list[tuple[int, _Reader]]()
    extensions = reader.vector(2) if reader else reader
    while extensions:
        found.append((extensions.number(2), extensions.vector(2)))
    return found


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"".join(number.to_bytes(2) for number in numbers)


def _vector(size_bytes: int, data: bytes) -> bytes:
    return len(data).to_bytes(size_bytes) + data


def _extension(number: int, data: bytes) -> bytes:
    return number.to_bytes(2) + _vector(2, data)

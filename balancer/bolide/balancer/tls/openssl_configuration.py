"""OpenSSL's own configuration for a process of Bolide's, and the check that it holds.

Python 3.11's ``ssl`` can choose neither the suites of TLS 1.3 nor the groups of a key exchange.
OpenSSL takes both from the file that ``OPENSSL_CONF`` names, when a process begins. So the
supervisor gives such a file to its workers, and ``bolide run`` to itself; ``set_ciphers()`` is
needed all the same, as Python overrides the suites of TLS 1.2. Whether it worked is asked:
:func:`check_server` and :func:`check_client` look at what is really offered and taken.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bolide.core.client_hello import RANDOM_BYTES, Choice, Offer, parse_answer, parse_offer
from bolide.core.errors import ConfigurationError, RemoteProtocolError

__all__ = [
    "CIPHERS",
    "FILE",
    "VARIABLE",
    "check_client",
    "check_server",
    "openssl_environment",
]

VARIABLE: Final = "OPENSSL_CONF"
CIPHERS: Final = "ECDHE+AESGCM"
"""For ``SSLContext.set_ciphers()``: the suites of TLS 1.2."""
FILE: Final = Path(__file__).with_name("openssl.cnf")
"""The configuration."""

# IANA's numbers.
_VERSIONS: Final = {0x0300: "SSL 3", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2",
                    0x0304: "TLS 1.3"}  # fmt: skip
_SUITES: Final = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x1304: "TLS_AES_128_CCM_SHA256",
    0x1305: "TLS_AES_128_CCM_8_SHA256",
    0x002F: "AES128-SHA",
    0x009C: "AES128-GCM-SHA256",
    0x009D: "AES256-GCM-SHA384",
    0x009E: "DHE-RSA-AES128-GCM-SHA256",
    0x009F: "DHE-RSA-AES256-GCM-SHA384",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_GROUPS: Final = {
    23: "P-256", 24: "P-384", 25: "P-521", 29: "X25519", 30: "X448", 256: "ffdhe2048",
    4588: "X25519MLKEM768",
}  # fmt: skip
_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304
_GOOD_VERSIONS: Final = frozenset({_TLS_1_2, _TLS_1_3})
_GOOD_SUITES: Final = {
    _TLS_1_2: frozenset({0xC02B, 0xC02C, 0xC02F, 0xC030}),
    _TLS_1_3: frozenset({0x1301, 0x1302}),
}
_GOOD_GROUPS: Final = frozenset({23, 24})
# What a client says of renegotiation and of a second try is in the list of suites, too.
_SIGNALS: Final = frozenset({0x00FF, 0x5600})
_SUITE: Final = {_TLS_1_2: (0xC02C, 0xC030), _TLS_1_3: (0x1302,)}


def openssl_environment(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Write the configuration, and return the environment in which a process takes it.

    Args:
        folder: Where the file is written; nobody else may write there.
        environment: Of this process. If it names a configuration already, that one is the
            operator's will and stays: the checks say what is wrong with it.
    """
    if environment.get(VARIABLE):
        return dict(environment)
    path = folder / FILE.name
    path.touch(0o600)
    path.write_text(FILE.read_text())
    return {**environment, VARIABLE: str(path)}


def check_server(context: ssl.SSLContext) -> None:
    """Shake hands with a server's side, and refuse it unless it takes what it should and no more.

    Each offer is one of what must be taken or refused: versions below TLS 1.2 as well, which no
    client can be made to offer, since a hello is written by hand here.

    Args:
        context: With a certificate.

    Raises:
        ConfigurationError: If it takes or refuses something else.
    """
    for what, offer in _good_offers():
        if not _is_taken(context, offer):
            raise _wrong(f"{what} refused")
    for what, offer in _bad_offers():
        if _is_taken(context, offer):
            raise _wrong(f"{what} taken")


def check_client(context: ssl.SSLContext) -> None:
    """Look at what a client's side offers, and refuse it if there is something else.

    Args:
        context: For the client's side.

    Raises:
        ConfigurationError: If it offers what must not be negotiated.
    """
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="node.invalid")
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    offer = parse_offer(outgoing.read())
    good_suites = frozenset[int]().union(*_GOOD_SUITES.values(), _SIGNALS)
    for offered, good, names in (
        (offer.versions, _GOOD_VERSIONS, _VERSIONS),
        (offer.suites, good_suites, _SUITES),
        (offer.groups, _GOOD_GROUPS, _GROUPS),
    ):
        for number in offered:
            if number not in good:
                raise _wrong(f"{names.get(number, f'number {number:#06x}')} offered")


def _good_offers() -> Iterator[tuple[str, Offer]]:
    """Yield what must be taken, with a name."""
    groups = tuple(_GOOD_GROUPS)
    # In TLS 1.2 the groups are also the curves that a certificate may be on.
    yield "TLS 1.2 with AES-GCM", Offer((_TLS_1_2,), _SUITE[_TLS_1_2], groups)
    for group in groups:
        what = f"TLS 1.3 with AES-GCM and {_GROUPS[group]}"
        yield what, Offer((_TLS_1_3,), _SUITE[_TLS_1_3], (group,))


def _bad_offers() -> Iterator[tuple[str, Offer]]:
    """Yield everything that we have a name for and must be refused, with a name."""
    groups = tuple(_GOOD_GROUPS)
    for version in _VERSIONS:
        if version not in _GOOD_VERSIONS:
            yield _VERSIONS[version], Offer((version,), tuple(_SUITES), groups)
    for version, suites in _SUITE.items():
        for suite in _SUITES:
            is_of_1_3 = suite >> 8 == 0x13
            if suite not in _GOOD_SUITES[version] and is_of_1_3 == (version == _TLS_1_3):
                yield _SUITES[suite], Offer((version,), (suite,), groups)
        for group in _GROUPS:
            if group not in _GOOD_GROUPS:
                what = f"{_GROUPS[group]} with {_VERSIONS[version]}"
                yield what, Offer((version,), suites, (group,))


def _is_taken(context: ssl.SSLContext, offer: Offer) -> bool:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(offer.serialize(os.urandom(RANDOM_BYTES)))
    with suppress(ssl.SSLError):
        connection.do_handshake()
    try:
        return isinstance(parse_answer(outgoing.read()), Choice)
    except RemoteProtocolError:  # nothing at all
        return False


def _wrong(what: str) -> ConfigurationError:
    where = os.environ.get(VARIABLE)
    remedy = (
        f"one that leaves TLS 1.2 and 1.3 with AES-GCM on P-256 and P-384: {what}. Unset it, and"
        " Bolide brings its own"
        if where
        else f"set for a process that speaks TLS: {what}"
    )
    return ConfigurationError(VARIABLE, where, remedy)

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.certificates import Authority

from bolide.core.client_hello import (
    RANDOM_BYTES,
    Choice,
    Offer,
    Refusal,
    parse_answer,
    parse_offer,
)
from bolide.core.errors import RemoteProtocolError

_RANDOM = bytes(RANDOM_BYTES)
_TLS_1_1, _TLS_1_2, _TLS_1_3 = 0x0302, 0x0303, 0x0304
_P256, _P384 = 23, 24
_AES_256_GCM = 0x1302
_ECDHE_ECDSA_AES_256_GCM = 0xC02C
_NUMBERS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40).map(tuple)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("certificates")
    files = Authority(folder).issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    context.load_cert_chain(files.cert, files.key)
    return context


def _answer(server: ssl.SSLContext, hello: bytes) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):
        connection.do_handshake()
    return outgoing.read()


@given(versions=st.just((_TLS_1_3, _TLS_1_2)), suites=_NUMBERS, groups=_NUMBERS)
def test_an_offer_is_read_as_it_was_written(
    versions: tuple[int, ...], suites: tuple[int, ...], groups: tuple[int, ...]
) -> None:
    offer = Offer(versions, suites, groups)
    assert parse_offer(offer.serialize(_RANDOM)) == offer


def test_a_server_names_what_it_takes_of_tls_1_3(server: ssl.SSLContext) -> None:
    offer = Offer((_TLS_1_3,), (_AES_256_GCM,), (_P384,))
    answer = parse_answer(_answer(server, offer.serialize(_RANDOM)))
    assert answer == Choice(_TLS_1_3, _AES_256_GCM, _P384)


def test_a_server_names_what_it_takes_of_tls_1_2(server: ssl.SSLContext) -> None:
    offer = Offer((_TLS_1_2,), (_ECDHE_ECDSA_AES_256_GCM,), (_P256,))
    answer = parse_answer(_answer(server, offer.serialize(_RANDOM)))
    assert answer == Choice(_TLS_1_2, _ECDHE_ECDSA_AES_256_GCM, None)


def test_a_server_that_takes_nothing_says_so(server: ssl.SSLContext) -> None:
    offer = Offer((_TLS_1_1,), (_ECDHE_ECDSA_AES_256_GCM,), (_P256,))
    assert isinstance(parse_answer(_answer(server, offer.serialize(_RANDOM))), Refusal)


def test_the_offer_of_openssl_can_be_read() -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    outgoing = ssl.MemoryBIO()
    connection = client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="ward.example.org")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    offer = parse_offer(outgoing.read())
    assert {_TLS_1_2, _TLS_1_3} <= {*offer.versions}
    assert {_AES_256_GCM, _ECDHE_ECDSA_AES_256_GCM} <= {*offer.suites}
    assert _P256 in offer.groups


@given(st.binary(max_size=200))
def test_rubbish_is_no_message(data: bytes) -> None:
    for parse in (parse_answer, parse_offer):
        try:
            parse(data)
        except RemoteProtocolError:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01\x00\x01"]
)
def test_another_protocol_and_half_a_message_are_told(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_answer(data)


def test_an_offer_is_no_answer_and_an_answer_is_no_offer(server: ssl.SSLContext) -> None:
    hello = Offer((_TLS_1_3,), (_AES_256_GCM,), (_P256,)).serialize(_RANDOM)
    with pytest.raises(RemoteProtocolError, match="another message"):
        parse_answer(hello)
    with pytest.raises(RemoteProtocolError, match="another message"):
        parse_offer(_answer(server, hello))


@given(st.integers(0, 120))
def test_a_message_that_is_cut_anywhere_is_refused(size: int) -> None:
    hello = Offer((_TLS_1_3,), (_AES_256_GCM,), (_P256,)).serialize(_RANDOM)
    if size < len(hello):
        with pytest.raises(RemoteProtocolError):
            parse_offer(hello[:size])

"""What clients send that two programs could read in two ways, and what becomes of each.

The texts are those of :mod:`tests.desync.wire`. What a node gets is written without the forwarding
fields that are added to every request.
"""
# ruff: noqa: E501  # one row, one line

from dataclasses import dataclass
from typing import Final

from tests.desync.wire import on_the_wire

__all__ = ["REQUESTS", "RequestCase"]


_Becomes = str | int | tuple[str, int] | None
_Row = tuple[str, str, _Becomes]


@dataclass(frozen=True, slots=True)
class RequestCase:
    """What a client sends on one connection.

    Attributes:
        name: Unique.
        sent: What it sends.
        becomes: All that the node gets of complete requests, and the status with which what
            follows is refused if it is; only a status: nothing is passed on; None: that is not
            complete, and is waited for.
    """

    name: str
    sent: str
    becomes: _Becomes

    @property
    def wire(self) -> bytes:
        return on_the_wire(self.sent)

    @property
    def node_gets(self) -> bytes:
        """All that the node gets of complete requests."""
        got = self.becomes[0] if isinstance(self.becomes, tuple) else self.becomes
        return on_the_wire(got) if isinstance(got, str) else b""

    @property
    def status(self) -> int | None:
        """With which something is refused."""
        status = self.becomes[1] if isinstance(self.becomes, tuple) else self.becomes
        return status if isinstance(status, int) else None


_GET: Final = "GET / HTTP/1.1\nHost: a\n"
_POST: Final = "POST / HTTP/1.1\nHost: a\n"
_CHUNKED: Final = _POST + "Transfer-Encoding: chunked\n\n"
_FIVE: Final = _POST + "Content-Length: 5\n\nhello"
_EVIL: Final = "GET /evil HTTP/1.1\nHost: a\n\n"
_EVIL_BYTES: Final = len(on_the_wire(_EVIL))
_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
_UPGRADE: Final = (
    f"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: {_KEY}\n"
    "Connection: Upgrade\nUpgrade: websocket\n"
)

_LENGTHS: Final[list[_Row]] = [
    ("length", _FIVE, _FIVE),
    ("length of nothing", _POST + "Content-Length: 0\n\n", _POST + "Content-Length: 0\n\n"),
    ("length with zeros", _POST + "Content-Length: 0005\n\nhello", _FIVE),
    ("length with white space around", _POST + "Content-Length:\t 5 \t\n\nhello", _FIVE),
    ("length in capitals", _POST + "CONTENT-LENGTH: 5\n\nhello", _FIVE),
    ("length of a GET", _GET + "Content-Length: 5\n\nhello", _GET + "Content-Length: 5\n\nhello"),
    ("length of a body that is not all here", _POST + "Content-Length: 10\n\nhello", None),
    ("length of 18 digits", _POST + f"Content-Length: {'9' * 18}\n\nhello", None),
    ("length of 19 digits", _POST + f"Content-Length: {'9' * 19}\n\nhello", 400),
    ("length above 64 bits", _POST + "Content-Length: 18446744073709551621\n\nhello", 400),
    ("two equal lengths", _POST + "Content-Length: 5\nContent-Length: 5\n\nhello", 400),
    ("two lengths", _POST + "Content-Length: 5\nContent-Length: 0\n\nhello", 400),
    ("two lengths, the other first", _POST + "Content-Length: 0\nContent-Length: 5\n\nhello", 400),
    ("list of equal lengths", _POST + "Content-Length: 5, 5\n\nhello", 400),
    ("list of lengths", _POST + "Content-Length: 5, 6\n\nhello", 400),
    ("length with a comma", _POST + "Content-Length: 5,\n\nhello", 400),
    ("length below nothing", _POST + "Content-Length: -5\n\nhello", 400),
    ("length minus nothing", _POST + "Content-Length: -0\n\n", 400),
    ("length with a plus", _POST + "Content-Length: +5\n\nhello", 400),
    ("length in hexadecimal", _POST + "Content-Length: 0x5\n\nhello", 400),
    ("length with a letter", _POST + "Content-Length: 5a\n\nhello", 400),
    ("length with an underscore", _POST + "Content-Length: 1_0\n\nhellohello", 400),
    ("length with a point", _POST + "Content-Length: 5.0\n\nhello", 400),
    ("length with an exponent", _POST + "Content-Length: 5e0\n\nhello", 400),
    ("length of two words", _POST + "Content-Length: 5 5\n\nhello", 400),
    ("length in quotes", _POST + 'Content-Length: "5"\n\nhello', 400),
    ("length that is empty", _POST + "Content-Length:\n\nhello", 400),
    ("length with a digit of Latin-1", _POST + "Content-Length: \xb2\n\nhe", 400),
    ("length with NUL", _POST + "Content-Length: 5\x00\n\nhello", 400),
    ("length after a vertical tab", _POST + "Content-Length: \x0b5\n\nhello", 400),
    ("length before a form feed", _POST + "Content-Length: 5\x0c\n\nhello", 400),
    ("length after a CR", _POST + "Content-Length:␍5\n\nhello", 400),
    ("length, space before its colon", _POST + "Content-Length : 5\n\nhello", 400),
    ("length, tab before its colon", _POST + "Content-Length\t: 5\n\nhello", 400),
    ("length, NUL before its colon", _POST + "Content-Length\x00: 5\n\nhello", 400),
    ("length, CR before its colon", _POST + "Content-Length␍: 5\n\nhello", 400),
    ("length, space before its name", _POST + " Content-Length: 5\n\nhello", 400),
    ("length as CGI would spell it", _POST + "Content_Length: 5\n\n", _POST + "\n"),
    ("length hidden in a value", _POST + "X: a␊Content-Length: 5\n\nhello", 400),
    ("length hidden behind a CR", _POST + "X: a␍Content-Length: 5\n\nhello", 400),
]  # fmt: skip

_CODINGS: Final[list[_Row]] = [
    ("chunks", _CHUNKED + "5\nhello\n0\n\n", _CHUNKED + "5\nhello\n0\n\n"),
    (
        "chunks in capitals",
        _POST + "TRANSFER-ENCODING: CHUNKED\n\n5\nhello\n0\n\n",
        _CHUNKED + "5\nhello\n0\n\n",
    ),
    (
        "chunks with white space around",
        _POST + "Transfer-Encoding:\t chunked\t \n\n0\n\n",
        _CHUNKED + "0\n\n",
    ),
    (
        "chunks of a GET",
        _GET + "Transfer-Encoding: chunked\n\n0\n\n",
        _GET + "Transfer-Encoding: chunked\n\n0\n\n",
    ),
    (
        "length beside chunks",
        _POST + "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n" + _EVIL,
        400,
    ),
    (
        "chunks beside a length",
        _POST + f"Transfer-Encoding: chunked\nContent-Length: {5 + _EVIL_BYTES}\n\n0\n\n" + _EVIL,
        400,
    ),
    (
        "chunks beside a length of nothing",
        _POST + "Transfer-Encoding: chunked\nContent-Length: 0\n\n0\n\n",
        400,
    ),
    (
        "length beside another coding",
        _POST + "Content-Length: 5\nTransfer-Encoding: identity\n\nhello",
        400,
    ),
    (
        "length beside chunks in another case",
        _POST + "content-length: 5\ntRANSFER-eNCODING: cHUNKED\n\n0\n\n",
        400,
    ),
    (
        "length beside chunks as CGI would spell them",
        _POST + "Content-Length: 5\nTransfer_Encoding: chunked\n\nhello",
        _FIVE,
    ),
    ("chunks in HTTP/1.0", "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks twice", _POST + "Transfer-Encoding: chunked, chunked\n\n0\n\n", 501),
    ("chunks in two fields", _POST + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks and another coding in two fields", _POST + "Transfer-Encoding: chunked\nTransfer-Encoding: x\n\n0\n\n", 400),
    ("another coding and chunks in two fields", _POST + "Transfer-Encoding: x\nTransfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks before another coding", _POST + "Transfer-Encoding: chunked, identity\n\n0\n\n", 501),
    ("chunks after another coding", _POST + "Transfer-Encoding: identity, chunked\n\n0\n\n", 501),
    ("chunks of gzip", _POST + "Transfer-Encoding: gzip, chunked\n\n0\n\n", 501),
    ("only gzip", _POST + "Transfer-Encoding: gzip\n\n0\n\n", 501),
    ("identity", _POST + "Transfer-Encoding: identity\n\n", 501),
    ("almost chunks", _POST + "Transfer-Encoding: xchunked\n\n0\n\n", 501),
    ("more than chunks", _POST + "Transfer-Encoding: chunkedx\n\n0\n\n", 501),
    ("two words", _POST + "Transfer-Encoding: x chunked\n\n0\n\n", 501),
    ("chunks with a weight", _POST + "Transfer-Encoding: chunked;q=1\n\n0\n\n", 501),
    ("chunks in quotes", _POST + 'Transfer-Encoding: "chunked"\n\n0\n\n', 501),
    ("chunks in apostrophes", _POST + "Transfer-Encoding: 'chunked'\n\n0\n\n", 501),
    ("chunks with a comma behind", _POST + "Transfer-Encoding: chunked,\n\n0\n\n", 501),
    ("chunks with a comma before", _POST + "Transfer-Encoding: ,chunked\n\n0\n\n", 501),
    ("coding that is empty", _POST + "Transfer-Encoding:\n\n0\n\n", 501),
    ("coding of Latin-1", _POST + "Transfer-Encoding: chun\xebked\n\n0\n\n", 501),
    ("chunks behind a vertical tab", _POST + "Transfer-Encoding: \x0bchunked\n\n0\n\n", 400),
    ("chunks before a form feed", _POST + "Transfer-Encoding: chunked\x0c\n\n0\n\n", 400),
    ("chunks before NUL", _POST + "Transfer-Encoding: chunked\x00\n\n0\n\n", 400),
    ("chunks behind a backspace", _POST + "Transfer-Encoding: x\x08chunked\n\n0\n\n", 400),
    ("chunks behind a no-break space", _POST + "Transfer-Encoding: \xa0chunked\n\n0\n\n", 501),
    ("chunks behind a LF", _POST + "Transfer-Encoding:␊ chunked\n\n0\n\n", 400),
    ("chunks behind a CR", _POST + "Transfer-Encoding: ␍chunked\n\n0\n\n", 400),
    ("chunks on a second line", _POST + "Transfer-Encoding:\n chunked\n\n0\n\n", 400),
    ("chunks on a third line", _POST + "Transfer-Encoding: x,\n\t\n chunked\n\n0\n\n", 400),
    ("chunks, space before the colon", _POST + "Transfer-Encoding : chunked\n\n0\n\n", 400),
    ("chunks, tab before the colon", _POST + "Transfer-Encoding\t: chunked\n\n0\n\n", 400),
    ("chunks, NUL before the name", _POST + "\x00Transfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks, space before the name", _POST + " Transfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks, space in the name", _POST + "Transfer Encoding: chunked\n\n", 400),
    ("chunks, Latin-1 in the name", _POST + "Transfer-Encoding\xa0: chunked\n\n", 400),
    ("chunks hidden in a value", _POST + "X: a␊Transfer-Encoding: chunked\n\n0\n\n", 400),
    ("chunks hidden behind a CR", _POST + "X: a␍Transfer-Encoding: chunked\n\n0\n\n", 400),
    (
        "chunks hidden behind two LF beside a length",
        _POST + "Content-Length: 5\nX: a␊␊Transfer-Encoding: chunked\n\nhello",
        400,
    ),
]  # fmt: skip

_CHUNKS: Final[list[_Row]] = [
    ("no chunk", _CHUNKED + "0\n\n", _CHUNKED + "0\n\n"),
    ("size with zeros", _CHUNKED + "0005\nhello\n000\n\n", _CHUNKED + "5\nhello\n0\n\n"),
    ("size in capitals", _CHUNKED + "A\nhellohello\n0\n\n", _CHUNKED + "a\nhellohello\n0\n\n"),
    ("extension", _CHUNKED + "5;a=b\nhello\n0;c\n\n", _CHUNKED + "5\nhello\n0\n\n"),
    ("extension in quotes", _CHUNKED + '5;a="b;\\" c"\nhello\n0\n\n', _CHUNKED + "5\nhello\n0\n\n"),
    ("extension with white space", _CHUNKED + "5 ; a = b\nhello\n0\n\n", _CHUNKED + "5\nhello\n0\n\n"),
    ("extension without a name", _CHUNKED + "5;\nhello\n0\n\n", 400),
    ("extension without its end quote", _CHUNKED + '5;a="\nhello\n0\n\n', 400),
    ("extension with a CR", _CHUNKED + "5;a␍b\nhello\n0\n\n", 400),
    ("extension with a LF", _CHUNKED + "5;a␊hello\n0\n\n", 400),
    ("extension with a LF that hides a chunk", _CHUNKED + f"2;␊xx\n{_EVIL_BYTES:x}\n0\n\n" + _EVIL, 400),
    ("extension with NUL", _CHUNKED + "5;a=\x00\nhello\n0\n\n", 400),
    ("extension of 300 bytes", _CHUNKED + f"5;{'a' * 300}\nhello\n0\n\n", 400),
    ("size of 17 digits", _CHUNKED + "00000000000000005\nhello\n0\n\n", 400),
    ("size above 64 bits", _CHUNKED + "10000000000000005\nhello\n0\n\n", 400),
    ("size of 64 bits", _CHUNKED + "ffffffffffffffff\nhello\n0\n\n", 400),
    ("size of 32 bits and 5", _CHUNKED + "100000005\nhello\n0\n\n", None),
    ("size below nothing", _CHUNKED + "-5\nhello\n0\n\n", 400),
    ("size with a plus", _CHUNKED + "+5\nhello\n0\n\n", 400),
    ("size with a prefix", _CHUNKED + "0x5\nhello\n0\n\n", 400),
    ("size with an underscore", _CHUNKED + "1_0\nhellohellohello1\n0\n\n", 400),
    ("size of no digits", _CHUNKED + "\nhello\n0\n\n", 400),
    ("size of only an extension", _CHUNKED + ";a\nhello\n0\n\n", 400),
    ("size of letters", _CHUNKED + "five\nhello\n0\n\n", 400),
    ("size behind a space", _CHUNKED + " 5\nhello\n0\n\n", 400),
    ("size before a space", _CHUNKED + "5 \nhello\n0\n\n", 400),
    ("size before a tab", _CHUNKED + "5\t\nhello\n0\n\n", 400),
    ("size before NUL", _CHUNKED + "5\x00\nhello\n0\n\n", 400),
    ("size before a LF", _CHUNKED + "5␊hello\n0\n\n", 400),
    ("size before a CR", _CHUNKED + "5␍hello\n0\n\n", 400),
    ("size before two CR", _CHUNKED + "5␍\nhello\n0\n\n", 400),
    ("size of two words", _CHUNKED + "5 5\nhello\n0\n\n", 400),
    ("chunk longer than its size", _CHUNKED + "4\nhello\n0\n\n", 400),
    ("chunk shorter than its size", _CHUNKED + "6\nhello\n0\n\n", 400),
    ("chunk before a LF", _CHUNKED + "5\nhello␊0\n\n", 400),
    ("chunk before a CR", _CHUNKED + "5\nhello␍0\n\n", 400),
    ("chunk before nothing", _CHUNKED + "5\nhello0\n\n", 400),
    ("chunk before other bytes", _CHUNKED + "5\nhelloxx0\n\n", 400),
    ("last chunk missing", _CHUNKED + "5\nhello\n", None),
    ("last line missing", _CHUNKED + "5\nhello\n0\n", None),
    ("last line of a LF", _CHUNKED + "5\nhello\n0\n␊", 400),
    ("last line of a CR", _CHUNKED + "5\nhello\n0\n␍" + _EVIL, 400),
    ("last line of other bytes", _CHUNKED + "5\nhello\n0\nxx" + _EVIL, 400),
    ("trailer", _CHUNKED + "0\nX-Sum:  1\n\n", _CHUNKED + "0\nX-Sum: 1\n\n"),
    ("trailer with a length", _CHUNKED + "0\nContent-Length: 9\n\n", _CHUNKED + "0\n\n"),
    ("trailer with a coding", _CHUNKED + "0\nTransfer-Encoding: x\n\n", _CHUNKED + "0\n\n"),
    ("trailer with a host", _CHUNKED + "0\nHost: b\nX: y\n\n", _CHUNKED + "0\nX: y\n\n"),
    ("trailer with a client", _CHUNKED + "0\nX-Forwarded-For: b\n\n", _CHUNKED + "0\n\n"),
    ("trailer with a cookie", _CHUNKED + "0\nCookie: a=b\n\n", _CHUNKED + "0\n\n"),
    ("trailer with a length as CGI spells it", _CHUNKED + "0\nContent_Length: 9\n\n", _CHUNKED + "0\n\n"),
    ("trailer on two lines", _CHUNKED + "0\nX: a\n b\n\n", 400),
    ("trailer without a colon", _CHUNKED + "0\nX\n\n", 400),
    ("trailer, space before the colon", _CHUNKED + "0\nX : a\n\n", 400),
    ("trailer before a LF", _CHUNKED + "0\nX: a␊\n", 400),
    ("trailer with NUL", _CHUNKED + "0\nX: \x00\n\n", 400),
    ("trailer that is a request", _CHUNKED + "0\n" + _EVIL, 400),
    ("trailers of 9 kB", _CHUNKED + f"0\nX: {'a' * 9_000}\n\n", 400),
    ("trailers, 101 of them", _CHUNKED + "0\n" + "X: a\n" * 101 + "\n", 400),
]  # fmt: skip

_FIELDS: Final[list[_Row]] = [
    ("white space around a value", _GET + "X:a \t\nY: \t b c\n\n", _GET + "X: a\nY: b c\n\n"),
    ("value that is empty", _GET + "X:\nY: \n\n", _GET + "X: \nY: \n\n"),
    ("value of Latin-1", _GET + "X: \xe4\n\n", _GET + "X: \xe4\n\n"),
    ("value with a tab", _GET + "X: a\tb\n\n", _GET + "X: a\tb\n\n"),
    ("name of odd characters", _GET + "!#$%&'*+-.^`|~: a\n\n", _GET + "!#$%&'*+-.^`|~: a\n\n"),
    ("name with an underscore", _GET + "x_y: a\n\n", _GET + "x_y: a\n\n"),
    ("value on two lines", _GET + "X: a\n b\n\n", 400),
    ("value on two lines, with a tab", _GET + "X: a\n\tb\n\n", 400),
    ("second line is white space", _GET + "X: a\n \n\n", 400),
    ("first field is folded", "GET / HTTP/1.1\n Host: a\n\n", 400),
    ("first field is folded away", "GET / HTTP/1.1\n X: a\nHost: a\n\n", 400),
    ("name before a space", _GET + "X : a\n\n", 400),
    ("name before a tab", _GET + "X\t: a\n\n", 400),
    ("name of two words", _GET + "X Y: a\n\n", 400),
    ("name that is empty", _GET + ": a\n\n", 400),
    ("name alone", _GET + "X\n\n", 400),
    ("name in quotes", _GET + '"X": a\n\n', 400),
    ("name in brackets", _GET + "(X): a\n\n", 400),
    ("name with a slash", _GET + "X/Y: a\n\n", 400),
    ("name with NUL", _GET + "X\x00: a\n\n", 400),
    ("name with DEL", _GET + "X\x7f: a\n\n", 400),
    ("name of Latin-1", _GET + "\xe4: a\n\n", 400),
    ("value with NUL", _GET + "X: a\x00b\n\n", 400),
    ("value with a control byte", _GET + "X: a\x01b\n\n", 400),
    ("value with an escape", _GET + "X: a\x1bb\n\n", 400),
    ("value with DEL", _GET + "X: a\x7fb\n\n", 400),
    ("value with a CR", _GET + "X: a␍b\n\n", 400),
    ("value before two CR", _GET + "X: a␍\n\n", 400),
    ("line end of a LF", "GET / HTTP/1.1␊Host: a\n\n", 400),
    ("line ends of LF only", "GET / HTTP/1.1␊Host: a␊␊", 400),
    ("line end of a CR", "GET / HTTP/1.1␍Host: a\n\n", 400),
    ("last line end of a LF", _GET + "␊", 400),
    ("head that ends with LF LF", _GET + "X: a␊␊" + _EVIL, 400),
    ("head that ends with LF CR LF", "GET / HTTP/1.1\nHost: a␊\n" + _EVIL, 400),
    ("head that ends with CR LF LF", _GET + "␊" + _EVIL, 400),
    ("head that ends with CR CR LF", _GET + "␍\n" + _EVIL, 400),
    ("head that ends with CR CR", _GET + "X: a␍␍" + _EVIL, 400),
    ("100 fields", _GET + "X: a\n" * 99 + "\n", _GET + "X: a\n" * 99 + "\n"),
    ("101 fields", _GET + "X: a\n" * 100 + "\n", 431),
    ("head of 17 kB", _GET + f"X: {'a' * 17_000}\n\n", 431),
    ("head of 17 kB without an end", _GET + f"X: {'a' * 17_000}", 431),
    ("half a head", _GET, None),
]  # fmt: skip

_REQUEST_LINES: Final[list[_Row]] = [
    ("method of 32", f"{'M' * 32} / HTTP/1.1\nHost: a\n\n", f"{'M' * 32} / HTTP/1.1\nHost: a\n\n"),
    ("method of 33", f"{'M' * 33} / HTTP/1.1\nHost: a\n\n", 400),
    ("method in small letters", "get / HTTP/1.1\nHost: a\n\n", "get / HTTP/1.1\nHost: a\n\n"),
    ("method of odd characters", "A!b / HTTP/1.1\nHost: a\n\n", "A!b / HTTP/1.1\nHost: a\n\n"),
    ("method with a colon", "GET: / HTTP/1.1\nHost: a\n\n", 400),
    ("method that is no token", "G(T / HTTP/1.1\nHost: a\n\n", 400),
    ("method that is empty", " / HTTP/1.1\nHost: a\n\n", 400),
    ("method with NUL", "GET\x00 / HTTP/1.1\nHost: a\n\n", 400),
    ("method CONNECT", "CONNECT a:80 HTTP/1.1\nHost: a:80\n\n", 501),
    ("method TRACE", "TRACE / HTTP/1.1\nHost: a\n\n", 501),
    ("two spaces before the target", "GET  / HTTP/1.1\nHost: a\n\n", 400),
    ("two spaces before the version", "GET /  HTTP/1.1\nHost: a\n\n", 400),
    ("tab before the target", "GET\t/ HTTP/1.1\nHost: a\n\n", 400),
    ("space behind the version", "GET / HTTP/1.1 \nHost: a\n\n", 400),
    ("no version", "GET /\nHost: a\n\n", 400),
    ("no target", "GET HTTP/1.1\nHost: a\n\n", 400),
    ("version 0.9", "GET / HTTP/0.9\nHost: a\n\n", 505),
    ("version 1.0", "GET / HTTP/1.0\nHost: a\n\n", _GET + "\n"),
    ("version 1.2", "GET / HTTP/1.2\nHost: a\n\n", 505),
    ("version 1.9", "GET / HTTP/1.9\nHost: a\n\n", 505),
    ("version 1.10", "GET / HTTP/1.10\nHost: a\n\n", 400),
    ("version 01.1", "GET / HTTP/01.1\nHost: a\n\n", 400),
    ("version 1", "GET / HTTP/1\nHost: a\n\n", 400),
    ("version 2.0", "GET / HTTP/2.0\nHost: a\n\n", 505),
    ("preface of HTTP/2", "PRI * HTTP/2.0\n\nSM\n\n", 505),
    ("version in small letters", "GET / http/1.1\nHost: a\n\n", 400),
    ("version of another protocol", "GET / RTSP/1.0\nHost: a\n\n", 400),
    ("one empty line before", "\n" + _GET + "\n", _GET + "\n"),
    ("two empty lines before", "\n\n" + _GET + "\n", 400),
    ("empty line of a LF before", "␊" + _GET + "\n", 400),
    ("space before", " " + _GET + "\n", 400),
    ("another request in the target", "GET / HTTP/1.1␊Host: b␊␊GET / HTTP/1.1\nHost: a\n\n", 400),
    ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
]  # fmt: skip


def _got(target: str, *, host: str = "a") -> str:
    return f"GET {target} HTTP/1.1\nHost: {host}\n\n"


_TARGETS: Final[list[_Row]] = [
    ("target with a query", _got("/a?b=c&d"), _got("/a?b=c&d")),
    ("target with dots", _got("/a/../b/./c"), _got("/a/../b/./c")),
    ("target with two slashes", _got("//b/c"), _got("//b/c")),
    ("target with odd characters", _got("/\"<>[]^`{|}\\"), _got("/\"<>[]^`{|}\\")),
    ("target with codes", _got("/%00%0d%0a%zz"), _got("/%00%0d%0a%zz")),
    ("target with a fragment", _got("/a#b"), 400),
    ("target with a space", _got("/a b"), 400),
    ("target with a tab", _got("/a\tb"), 400),
    ("target with NUL", _got("/a\x00b"), 400),
    ("target with DEL", _got("/a\x7fb"), 400),
    ("target of Latin-1", _got("/\xe4"), 400),
    ("target without a slash", _got("a"), 400),
    ("target that is a query", _got("?a"), 400),
    ("target that is a host", _got("a:80"), 400),
    ("absolute", _got("http://a/b?c"), _got("/b?c")),
    ("absolute in capitals", _got("HTTP://A/b"), _got("/b")),
    ("absolute with the default port", _got("http://a:80/b"), _got("/b")),
    ("absolute, default port in Host", _got("https://a/b", host="a:443"), _got("/b", host="a:443")),
    ("absolute without a path", _got("http://a"), _got("/")),
    ("absolute with only a query", _got("http://a?b"), _got("/?b")),
    ("absolute in HTTP/1.0 without Host", "GET http://a/b HTTP/1.0\n\n", _got("/b")),
    ("absolute, another host", _got("http://b/"), 400),
    ("absolute, another port", _got("http://a:81/"), 400),
    ("absolute, the default port of another scheme", _got("http://a:443/"), 400),
    ("absolute, a user", _got("http://b@a/"), 400),
    ("absolute, a user like the host", _got("http://a@b/"), 400),
    ("absolute, no host", _got("http:///b"), 400),
    ("absolute, another scheme", _got("ftp://a/"), 400),
    ("absolute, one slash", _got("http:/a/b"), 400),
    ("absolute, a backslash", _got("http://a\\@b/"), 400),
    ("absolute without Host", "GET http://a/ HTTP/1.1\n\n", 400),
    ("asterisk", "OPTIONS * HTTP/1.1\nHost: a\n\n", "OPTIONS * HTTP/1.1\nHost: a\n\n"),
    ("asterisk as an absolute target", "OPTIONS http://a HTTP/1.1\nHost: a\n\n", "OPTIONS * HTTP/1.1\nHost: a\n\n"),
    ("asterisk of GET", _got("*"), 400),
    ("asterisk and more", "OPTIONS *a HTTP/1.1\nHost: a\n\n", 400),
]  # fmt: skip


def _hosted(host: str) -> str:
    return f"GET / HTTP/1.1\nHost: {host}\n\n"


_HOSTS: Final[list[_Row]] = [
    ("host with a port", _hosted("a.example:8443"), _hosted("a.example:8443")),
    ("host with a dot at the end", _hosted("a.example."), _hosted("a.example.")),
    ("host that is an address", _hosted("[2001:db8::1]:80"), _hosted("[2001:db8::1]:80")),
    ("host that comes last", "GET / HTTP/1.1\nX: y\nHost: a\n\n", _GET + "X: y\n\n"),
    ("no host", "GET / HTTP/1.1\nX: y\n\n", 400),
    ("no host in HTTP/1.0", "GET / HTTP/1.0\n\n", 400),
    ("host that is empty", _hosted(""), 400),
    ("two hosts", "GET / HTTP/1.1\nHost: a\nHost: b\n\n", 400),
    ("two equal hosts", "GET / HTTP/1.1\nHost: a\nHost: a\n\n", 400),
    ("two hosts in HTTP/1.0", "GET / HTTP/1.0\nHost: a\nHost: b\n\n", 400),
    ("two hosts, one in small letters", "GET / HTTP/1.1\nHost: a\nhost: b\n\n", 400),
    ("two hosts, one folded", "GET / HTTP/1.1\nHost: a\n Host: b\n\n", 400),
    ("two hosts, one before a space", "GET / HTTP/1.1\nHost: a\nHost : b\n\n", 400),
    ("host as CGI spells it", "GET / HTTP/1.1\nHost: a\nHTTP_HOST: b\n\n", _GET + "HTTP_HOST: b\n\n"),
    ("list of hosts", _hosted("a, b"), 400),
    ("host of two words", _hosted("a b"), 400),
    ("host with a path", _hosted("a/b"), 400),
    ("host with a query", _hosted("a?b"), 400),
    ("host with a fragment", _hosted("a#b"), 400),
    ("host with a user", _hosted("a@b"), 400),
    ("host with a backslash", _hosted("a\\b"), 400),
    ("host with a code", _hosted("a%2eb"), 400),
    ("host of Latin-1", _hosted("\xe4"), 400),
    ("host with an empty port", _hosted("a:"), 400),
    ("host with a port of letters", _hosted("a:http"), 400),
    ("host with a port below nothing", _hosted("a:-1"), 400),
    ("host with port 65536", _hosted("a:65536"), 400),
    ("host with two ports", _hosted("a:80:80"), 400),
    ("host with two dots", _hosted("a..b"), 400),
    ("host that is an address without its end", _hosted("[::1"), 400),
    ("host that is no address", _hosted("[a]"), 400),
    ("host with bytes behind an address", _hosted("[::1]a"), 400),
    ("host with a tab", _hosted("a\tb"), 400),
    ("host of 64 in a label", _hosted("a" * 64), 400),
]  # fmt: skip

_NEIGHBOURS: Final[list[_Row]] = [
    ("Connection: close", _GET + "Connection: close\n\n" + _EVIL, _GET + "\n"),
    ("Connection: keep-alive", _GET + "Connection: keep-alive\nKeep-Alive: 5\n\n", _GET + "\n"),
    ("Connection: keep-alive in HTTP/1.0", "GET / HTTP/1.0\nHost: a\nConnection: keep-alive\n\n" + _EVIL, _GET + "\n"),
    ("Connection: keep-alive and more in HTTP/1.0", "GET / HTTP/1.0\nHost: a\nConnection: keep-alive, X\n\n" + _EVIL, _GET + "\n"),
    ("Connection that names a field", _GET + "Connection: X, Y\nX: a\ny: b\nZ: c\n\n", _GET + "Z: c\n\n"),
    ("Connection that names our fields", _GET + "Connection: X-Forwarded-For\nX-Forwarded-For: b\n\n", _GET + "\n"),
    ("Connection that names Host", _GET + "Connection: Host\n\n", 400),
    ("Connection that names a length", _POST + "Connection: Content-Length\nContent-Length: 5\n\nhello", 400),
    ("Connection that names a coding", _POST + "Connection: Transfer-Encoding\nTransfer-Encoding: chunked\n\n0\n\n", _CHUNKED + "0\n\n"),
    ("Connection that names Cookie", _GET + "Connection: close, Cookie\nCookie: a=b\n\n", 400),
    ("Connection that names Origin", _GET + "Connection: Origin\nOrigin: https://b\n\n", 400),
    ("Connection that names Authorization", _GET + "Connection: Authorization\nAuthorization: x\n\n", 400),
    ("Connection that is no list", _GET + "Connection: a;b\n\n", 400),
    ("Connection that is empty", _GET + "Connection:\n\n", _GET + "\n"),
    ("Proxy-Connection", _GET + "Proxy-Connection: close\n\n", _GET + "\n"),
    ("Proxy-Authorization", _GET + "Proxy-Authorization: Basic YQ==\n\n", _GET + "\n"),
    ("TE", _GET + "Connection: TE\nTE: trailers, chunked\n\n", _GET + "\n"),
    ("Expect", _POST + "Expect: 100-continue\nContent-Length: 5\n\nhello", _POST + "Expect: 100-continue\nContent-Length: 5\n\nhello"),
    ("Expect without a body", _GET + "Expect: 100-continue\n\n", _GET + "\n"),
    ("Expect in HTTP/1.0", "POST / HTTP/1.0\nHost: a\nExpect: 100-continue\nContent-Length: 5\n\nhello", _FIVE),
    ("Expect something else", _POST + "Expect: more\nContent-Length: 5\n\nhello", 417),
    ("Expect twice", _POST + "Expect: 100-continue\nExpect: 100-continue\nContent-Length: 5\n\nhello", 417),
    ("our cookie", _GET + "Cookie: a=b; __Host-bolide_lb=x; c=d\n\n", _GET + "Cookie: a=b; c=d\n\n"),
    ("our cookie alone", _GET + "Cookie: __Host-bolide_lb=x\n\n", _GET + "\n"),
    ("our cookie twice", _GET + "Cookie: __Host-bolide_lb=x;__Host-bolide_lb=y\nCookie:__Host-bolide_lb =z\n\n", _GET + "\n"),
]  # fmt: skip

_FORWARDED: Final[list[_Row]] = [
    (f"forwarding field {name}", _GET + f"{name}: b\nX: y\n\n", _GET + "X: y\n\n")
    for name in (
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded",
        "x-forwarded-anything", "X_Forwarded_For", "X-Real-IP", "X_Real_IP", "X-Client-IP",
        "True-Client-IP", "CF-Connecting-IP", "Proxy", "X-Original-URL", "X-Rewrite-URL",
        "Client-Cert", "SSL-Client-Verify", "X-SSL-Client-Cert", "Front-End-Https",
    )
]  # fmt: skip

_UPGRADES: Final[list[_Row]] = [
    ("WebSocket", _GET + _UPGRADE + "\n", _GET + _UPGRADE + "\n"),
    (
        "WebSocket in other words",
        f"GET / HTTP/1.1\nhost: a\nSEC-WEBSOCKET-VERSION: 13\nsec-websocket-key: {_KEY}\n"
        "upgrade: WebSocket\nconnection: keep-alive, UPGRADE\n\n",
        f"GET / HTTP/1.1\nHost: a\nSEC-WEBSOCKET-VERSION: 13\nsec-websocket-key: {_KEY}\n"
        "Connection: Upgrade\nUpgrade: websocket\n\n",
    ),
    ("WebSocket with a length", _GET + _UPGRADE + "Content-Length: 5\n\nhello", 400),
    ("WebSocket with a length of nothing", _GET + _UPGRADE + "Content-Length: 0\n\n", _GET + _UPGRADE + "\n"),
    ("WebSocket with chunks", _GET + _UPGRADE + "Transfer-Encoding: chunked\n\n0\n\n", 400),
    ("WebSocket by POST", _POST + _UPGRADE + "\n", 400),
    ("WebSocket of another version", _GET + _UPGRADE.replace("13", "8") + "\n", 426),
    ("WebSocket without a key", _GET + _UPGRADE.replace("-Key", "-Kez") + "\n", 400),
    ("WebSocket with a short key", _GET + _UPGRADE.replace(_KEY, "YQ==") + "\n", 400),
    ("WebSocket with two keys", _GET + _UPGRADE + f"Sec-WebSocket-Key: {_KEY}\n\n", 400),
    ("WebSocket with two versions", _GET + _UPGRADE + "Sec-WebSocket-Version: 13\n\n", 426),
    (
        "WebSocket in HTTP/1.0",
        "GET / HTTP/1.0\nHost: a\n" + _UPGRADE + "\n",
        _GET + f"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: {_KEY}\n\n",
    ),
    (
        "WebSocket that Connection does not name",
        _GET + _UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive") + "\n",
        _GET + f"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: {_KEY}\n\n",
    ),
    ("h2c", _GET + "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n", _GET + "\n"),
    ("h2c that Connection does not name", _GET + "Upgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n", _GET + "\n"),
    ("h2c beside WebSocket", _GET + "Connection: Upgrade\nUpgrade: websocket, h2c\n\n", _GET + "\n"),
    ("h2c and WebSocket", _GET + "Connection: Upgrade\nUpgrade: h2c\nUpgrade: websocket\n\n", _GET + "\n"),
    ("WebSocket and h2c", _GET + _UPGRADE + "Upgrade: h2c\n\n", _GET + f"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: {_KEY}\n\n"),
    ("TLS by Upgrade", _GET + "Connection: Upgrade\nUpgrade: TLS/1.2\n\n", _GET + "\n"),
]  # fmt: skip

_SEQUENCES: Final[list[_Row]] = [
    ("two requests", _GET + "\n" + _got("/b"), _GET + "\n" + _got("/b")),
    ("a body and a request", _FIVE + _got("/b"), _FIVE + _got("/b")),
    ("a body, an empty line and a request", _FIVE + "\n" + _got("/b"), _FIVE + _got("/b")),
    ("chunks and a request", _CHUNKED + "5\nhello\n0\n\n" + _got("/b"), _CHUNKED + "5\nhello\n0\n\n" + _got("/b")),
    ("a request in a body", _POST + f"Content-Length: {_EVIL_BYTES}\n\n" + _EVIL, _POST + f"Content-Length: {_EVIL_BYTES}\n\n" + _EVIL),
    ("a request in a chunk", _CHUNKED + f"{_EVIL_BYTES:x}\n" + _EVIL + "\n0\n\n", _CHUNKED + f"{_EVIL_BYTES:x}\n" + _EVIL + "\n0\n\n"),
    ("a body longer than its length", _FIVE + "}" + _EVIL, (_FIVE, 400)),
    ("a body longer than its length by what may be a method", _FIVE + "world" + _got("/b"), _FIVE + "world" + _got("/b")),
    ("a body of a GET without a length", _GET + "\nhello\n\n", (_GET + "\n", 400)),
    ("rubbish after chunks", _CHUNKED + "0\n\nG\n\n", (_CHUNKED + "0\n\n", 400)),
    ("half a request after a request", _GET + "\nGET / HTTP/1.1\n", _GET + "\n"),
    ("a wrong request after a request", _GET + "\n" + _POST + "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n", (_GET + "\n", 400)),
]  # fmt: skip

REQUESTS: Final = [
    RequestCase(*row)
    for rows in (
        _LENGTHS,
        _CODINGS,
        _CHUNKS,
        _FIELDS,
        _REQUEST_LINES,
        _TARGETS,
        _HOSTS,
        _NEIGHBOURS,
        _FORWARDED,
        _UPGRADES,
        _SEQUENCES,
    )
    for row in rows
]

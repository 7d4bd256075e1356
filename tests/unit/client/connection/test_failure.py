"""Failures: one sentence for each, and nothing secret in it."""

import errno
import socket
import ssl
from pathlib import Path

import pytest
from tests.certificates import Authority
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
)
from websockets.frames import Close
from websockets.http11 import Response

from bolide.client.connection.address import parse_address
from bolide.client.connection.failure import ConnectionFailed, explain, size_fault
from bolide.server.node import MOVED

ADDRESS = parse_address("wss://ada:secret@ward.example.org/websocket?token=abc")


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "secret")
    error.verify_message = "self-signed certificate"
    return error


def status(code: int) -> InvalidStatus:
    return InvalidStatus(Response(code, "secret", Headers(), b"secret"))


def closed(code: int) -> ConnectionClosedError:
    return ConnectionClosedError(Close(code, "secret"), None)


@pytest.mark.parametrize(
    ("error", "text", "is_lasting"),
    [
        (untrusted(), r"not trusted \(self-signed certificate\);.* in SSL_CERT_FILE", True),
        (ssl.SSLError(1, "secret"), "TLS with", True),
        (status(404), "no DDP endpoint", True),
        (status(403), r"refused the connection \(403\); is it .* not its management port,", True),
        (status(302), r"redirects elsewhere \(302\)", True),
        (status(503), r"not available now \(503\)", False),
        (status(429), r"not available now \(429\)", False),
        (status(400), r"refused the connection \(400\)\.", True),
        (InvalidProxyStatus(Response(407, "", Headers(), b"")), "The proxy did not", False),
        (InvalidMessage("secret"), "does not speak HTTP", False),
        (InvalidUpgrade("Upgrade", "secret"), "no WebSocket server", True),
        (TimeoutError("secret"), "did not answer within 10 s", False),
        (TimeoutError(errno.ETIMEDOUT, "secret"), r"cannot be reached \(TimeoutError\)", False),
        (socket.gaierror(1, "secret"), "The name ward.example.org was not found", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "secret"), "Nothing listens at", False),
        (ValueError("secret"), r"cannot be reached \(ValueError\)", False),
        (closed(1001), "closed the connection: it is going away", False),
        (closed(1012), "closed the connection: it is shutting down or restarts", False),
        (
            ConnectionClosedOK(
                Close(1000, f"{MOVED}: secret"), Close(1000, ""), rcvd_then_sent=True
            ),
            "it takes no more sessions and is shutting down",
            False,
        ),
        (closed(4000), "closed the connection: code 4000", False),
        (ConnectionClosedError(None, Close(1002, "")), "broke the WebSocket protocol", False),
        (ConnectionClosedError(None, None), "was lost", False),
        (
            ConnectionClosedOK(Close(1000, ""), Close(1000, ""), rcvd_then_sent=True),
            "it ended the connection",
            False,
        ),
    ],
)
def test_failure_names_the_cause_and_no_secret(
    error: Exception, text: str, is_lasting: bool
) -> None:
    failure = explain(error, ADDRESS, timeout_s=10)
    with pytest.raises(ConnectionFailed, match=text):
        raise ConnectionFailed(failure.reason)
    assert failure.is_lasting == is_lasting
    for secret in ("secret", "abc", "ada:"):
        assert secret not in failure.reason


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionClosedError(None, Close(1009, "")), "larger than limits.max_frame_bytes (99)."),
        (
            ConnectionClosedError(Close(1009, "secret"), Close(1009, ""), rcvd_then_sent=True),
            "a message was too large for it.",
        ),
        (closed(1009), "a message was too large for it."),
    ],
)
def test_too_large_a_message_is_told_from_other_ends(
    error: ConnectionClosedError, text: str
) -> None:
    fault = size_fault(error, max_frame_bytes=99)
    assert fault is not None
    assert fault.endswith(text)
    for other in (closed(1001), ConnectionClosedError(None, None)):
        assert size_fault(other, max_frame_bytes=99) is None


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("nope.pem", None, "SSL_CERT_FILE names nope.pem, which does not exist."),
        ("letter.pem", "Dear Ada", "letter.pem, which holds no certificate as PEM text."),
        (".", None, "SSL_CERT_FILE names ., which "),
        ("", None, "name a PEM file with its authority in SSL_CERT_FILE."),
    ],
)
def test_authorities_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", name)
    if text is not None:
        Path(name).write_text(text)
    reason = explain(untrusted(), ADDRESS, timeout_s=10).reason
    assert told in reason
    assert "ssl=" not in reason


def test_authorities_that_are_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Authority(tmp_path).issue().cert
    monkeypatch.setenv("SSL_CERT_FILE", file)
    reason = explain(untrusted(), ADDRESS, timeout_s=10).reason
    assert reason.endswith(f"in SSL_CERT_FILE, which is {file} now.")


def test_what_the_caller_gave_is_to_be_checked() -> None:
    failure = explain(untrusted(), ADDRESS, timeout_s=10, has_authorities=True)
    assert failure.reason.endswith("; check the authorities of ssl=.")
    failure = explain(status(403), ADDRESS, timeout_s=10, has_headers=True)
    assert failure.reason.endswith("; check headers= and the server's origins.")


def test_a_refusal_without_encryption_may_want_it() -> None:
    plain = parse_address("ws://ward.example.org/websocket")
    failure = explain(status(403), plain, timeout_s=10)
    assert "; does it want https? Otherwise is it the node's own port " in failure.reason
    assert "want https" not in explain(status(403), ADDRESS, timeout_s=10).reason

"""TLS towards browsers: several certificates behind one name each, or more.

Theory of operation. Every connection begins in one context, which is made once. When the client
names a host that another certificate is for, or certificates were read anew, OpenSSL goes on in
the context of the right one. The keys with which sessions are sealed into tickets are those of the
context in which a connection began: a client resumes its session after a reload, too. They cannot
be taken out of Python's ``ssl``, so each worker has its own, and a client that comes to another
worker shakes hands in full.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from bolide.balancer.tls.openssl_configuration import CIPHERS
from bolide.balancer.worker.messages import ServerCertificate
from bolide.core.errors import ConfigurationError

__all__ = ["SOON_DAYS", "ServerContext"]

SOON_DAYS: Final = 14
"""How long before its end a certificate is warned of, days."""

_DAY_S: Final = 86_400
_OPTION: Final = "certificate"


@dataclass(frozen=True, slots=True)
class _Certificate:
    """A certificate that can be used.

    Attributes:
        names: In small letters; the first label of one may be ``*``.
        begins: Seconds since 1970.
        ends: Seconds since 1970.
        files: Where it and its key are.
    """

    names: tuple[str, ...]
    begins: float
    ends: float
    files: ServerCertificate

    @property
    def name(self) -> str:
        return self.names[0] if self.names else self.files.chain


class ServerContext:
    """The server's side of TLS for browsers.

    Args:
        certificates: One at least; the first one is for clients that name no host, or one that
            none is for. Of several for the same host the first one wins.
        wall_s: The time of day, seconds since 1970.

    Raises:
        ConfigurationError: If a file cannot be used.
    """

    def __init__(
        self,
        certificates: Sequence[ServerCertificate],
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Read the files."""
        self._wall_s = wall_s
        self._certificates = _read_all(certificates)
        self._default, self._exact, self._wild = _by_name(self._certificates)
        self._context = self._default
        self._offer_choice()

    @property
    def context(self) -> ssl.SSLContext:
        """For ``wrap_socket()``; the same after :meth:`read`."""
        return self._context

    def read(self, certificates: Sequence[ServerCertificate]) -> None:
        """Use other certificates for new connections; those that are open go on.

        Args:
            certificates: As at the beginning.

        Raises:
            ConfigurationError: If a file cannot be used; nothing has changed then.
        """
        read = _read_all(certificates)
        self._default, self._exact, self._wild = _by_name(read)
        self._certificates = read
        self._offer_choice()

    def warnings(self) -> list[str]:
        """Return a line for each certificate that people will soon be warned of, or are now."""
        now = self._wall_s()
        return list(_warnings(self._certificates, now))

    def _offer_choice(self) -> None:
        # Asked of Python for each handshake, so only if there is a choice.
        has_choice = len(self._certificates) > 1 or self._default is not self._context
        self._context.sni_callback = self._choose if has_choice else None

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        found = self._default
        if name is not None:
            name = name.lower()
            parent = name.partition(".")[2]
            found = self._exact.get(name) or self._wild.get(parent) or found
        if found is not self._context:
            connection.context = found


def _by_name(
    certificates: Sequence[_Certificate],
) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext], dict[str, ssl.SSLContext]]:
    """Return the context of the first one, those of names, and those of what ``*.`` stands before.

    Raises:
        ConfigurationError: If a key cannot be used.
    """
    exact: dict[str, ssl.SSLContext] = {}
    wild: dict[str, ssl.SSLContext] = {}
    contexts = [_loaded(certificate) for certificate in certificates]
    for certificate, context in zip(certificates, contexts, strict=True):
        for name in certificate.names:
            label, _, rest = name.partition(".")
            if label == "*":
                wild.setdefault(rest, context)
            else:
                exact.setdefault(name, context)
    return contexts[0], exact, wild


def _read_all(certificates: Sequence[ServerCertificate]) -> tuple[_Certificate, ...]:
    if not certificates:
        raise ConfigurationError(_OPTION, None, "given once at least, with chain and key")
    return tuple([_read(files) for files in certificates])


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # Each connection gets a ticket for the next one. OpenSSL would give two after a full handshake,
    # and sealing one takes a tenth of that.
    context.num_tickets = 1
    return context


def _read(files: ServerCertificate) -> _Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(Path(files.chain).read_bytes())
    except OSError as error:
        expected = f"a PEM file that can be read ({error.strerror})"
        raise ConfigurationError(f"{_OPTION}.chain", files.chain, expected) from None
    except ValueError:
        expected = "a PEM file with a certificate, its own first"
        raise ConfigurationError(f"{_OPTION}.chain", files.chain, expected) from None
    names: tuple[str, ...] = ()
    with suppress(x509.ExtensionNotFound, ValueError):
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(name.lower() for name in found.value.get_values_for_type(x509.DNSName))
    return _Certificate(
        names,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        files,
    )


def _loaded(certificate: _Certificate) -> ssl.SSLContext:
    files = certificate.files
    context = _new_context()
    asked: list[bool] = []

    def no_passphrase() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(files.chain, files.key, no_passphrase)
    except ssl.SSLError:
        expected = (
            "a key without a passphrase: a balancer starts without anybody there to type it"
            if asked
            else f"the private key, as PEM, of the certificate in {files.chain}"
        )
        raise ConfigurationError(f"{_OPTION}.key", files.key, expected) from None
    except OSError as error:
        expected = f"a PEM file that can be read ({error.strerror})"
        raise ConfigurationError(f"{_OPTION}.key", files.key, expected) from None
    return context


def _warnings(certificates: Sequence[_Certificate], now: float) -> Iterator[str]:
    for certificate in certificates:
        days = int((certificate.ends - now) // _DAY_S)
        if now < certificate.begins:
            what = "is not valid yet; is the clock of this machine right?"
        elif now >= certificate.ends:
            what = "has ended; browsers refuse it"
        elif days < SOON_DAYS:
            what = f"ends in {days} {'day' if days == 1 else 'days'}"
        else:
            continue
        yield f"The certificate for {certificate.name} {what}."

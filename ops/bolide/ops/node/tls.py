"""Make a node's TLS from two PEM files, and find out before it listens that clients can use it.

TLS 1.2 with ECDHE and AES-GCM, or TLS 1.3. Python 3.11 cannot choose the suites of TLS 1.3, nor
the groups: ``bolide run`` begins with a configuration of OpenSSL that does, and what came of it is
looked at here. In a process that began otherwise the server's order counts, and there AES-GCM comes
first.

A node behind a balancer also asks every client for a certificate of the cluster's authority.
"""

import os
import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from bolide.balancer.tls.openssl_configuration import VARIABLE, check_server
from bolide.core.errors import ConfigurationError
from bolide.core.identity import BadIdentity, identity_of
from bolide.server.settings import Settings
from bolide.server.web.tls.admission import Admission
from bolide.server.web.tls.denied_file import DeniedFile

__all__ = ["NodeTLS", "tls_of"]

_CIPHERS: Final = "ECDHE+AESGCM"
_SOON_DAYS: Final = 14
_DAY_S: Final = 86_400
_OTHERS: Final = stat.S_IRWXO
# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_YET, _EXPIRED = 9, 10
_HANDSHAKE_TURNS: Final = 10
# The last one is what OpenSSL says of a key of another kind, such as RSA for ECDSA.
_KEYS_OF_ANOTHER: Final = frozenset(
    {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
)


@dataclass(frozen=True, slots=True)
class NodeTLS:
    """The TLS of a node's listeners.

    Attributes:
        context: For the server's side.
        warning: One line for the operator about the certificate, or None.
        clients: Whom the node takes sessions from; None: everybody.
        managers: Whom its management listener talks to; None: it is on loopback without TLS.
    """

    context: ssl.SSLContext
    warning: str | None
    clients: Admission | None = None
    managers: Admission | None = None


def tls_of(settings: Settings, *, now: float | None = None) -> NodeTLS | None:
    """Return the TLS that the settings ask for, or None for plain HTTP.

    Args:
        settings: ``tls_cert`` and ``tls_key`` count.
        now: Seconds since 1970, to tell what expires soon; None is the time of day.

    Raises:
        ConfigurationError: If a file is missing, unreadable, open to other users or not what it
            should be, if the two do not belong together, or if no handshake comes about.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None  # Settings refuse one without the other
    cert, key = settings.tls_cert, settings.tls_key
    _check_readable("tls_cert", cert)
    _check_readable("tls_key", key)
    if stat.S_IMODE(Path(key).stat().st_mode) & _OTHERS:
        raise ConfigurationError(
            "tls_key", key, "closed to other users of this machine: chmod o-rwx it, or make a new"
            " key if they may have read it"
        )  # fmt: skip
    context = _context(cert, key)
    warning = _probe(context, cert, time.time() if now is None else now, settings.cluster)
    if os.environ.get(VARIABLE):
        check_server(context)
    if settings.tls_client_ca is None:
        return NodeTLS(context, warning)
    assert settings.cluster is not None  # Settings refuse one without the other
    _demand_certificates(context, settings.tls_client_ca)
    denied = None if settings.tls_denied is None else DeniedFile(settings.tls_denied)
    clients = Admission(settings.cluster, frozenset({"balancer"}), denied)
    managers = Admission(settings.cluster, frozenset({"balancer", "ops"}), denied)
    return NodeTLS(context, warning, clients, managers)


def _demand_certificates(context: ssl.SSLContext, authorities: str) -> None:
    _check_readable("tls_client_ca", authorities)
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError:
        expected = "the authorities of the cluster as PEM text; `bolide ca create` makes one"
        raise ConfigurationError("tls_client_ca", authorities, expected) from None
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 1  # a balancer uses one for many connections


def _check_readable(option: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except FileNotFoundError:
        expected = "a PEM file that exists"
    except PermissionError:
        expected = "a PEM file that this user may read"
    except OSError as error:
        expected = f"a PEM file ({error.strerror})"
    raise ConfigurationError(option, path, expected)


def _context(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert)
    except ssl.SSLError:
        raise ConfigurationError("tls_cert", cert, "a certificate as PEM text") from None
    asked: list[bool] = []

    def no_passphrase() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(cert, key, no_passphrase)
    except ssl.SSLError as error:
        if asked:
            expected = "a key without a passphrase: a node starts without anybody there to type it"
        elif error.reason in _KEYS_OF_ANOTHER:
            expected = "the key of the certificate in tls_cert"
        else:
            expected = "a private key as PEM text"
        raise ConfigurationError("tls_key", key, expected) from None
    return context


def _probe(context: ssl.SSLContext, cert: str, now: float, cluster: str | None) -> str | None:
    """Shake hands with ourselves as a client would; return what people should know.

    The certificate is its own authority here: who signed it is the clients' matter.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    warning: str | None = None
    try:
        session = _shake_hands(client, context)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            warning = "the certificate has expired; browsers refuse it"
        elif error.verify_code == _NOT_YET:
            warning = "the certificate is not valid yet; is the clock of this machine right?"
        else:
            warning = f"clients may refuse the certificate: {error.verify_message}"
        client.verify_mode = ssl.CERT_NONE
        session = _shake_hands(client, context, cert)
    except ssl.SSLError as error:
        raise _unusable(cert, error) from None
    cipher = session.cipher()
    if session.version() not in ("TLSv1.2", "TLSv1.3") or cipher is None or "GCM" not in cipher[0]:
        raise ConfigurationError(
            "tls_cert", cert, "used with TLS 1.2 or 1.3 and AES-GCM, which OpenSSL's own"
            " configuration on this machine does not allow"
        )  # fmt: skip
    read = session.getpeercert() or {}  # empty of one that was warned of
    if cluster is not None and read and not _is_of_node(read.get("subjectAltName", ()), cluster):
        warning = f"the certificate is not that of a node of {cluster}; its balancers refuse it"
    ends = read.get("notAfter")
    if isinstance(ends, str):
        days = int((ssl.cert_time_to_seconds(ends) - now) // _DAY_S)
        if days < _SOON_DAYS:
            warning = f"the certificate expires in {days} {'day' if days == 1 else 'days'}"
    return warning


def _is_of_node(names: object, cluster: str) -> bool:
    try:
        identity = identity_of(cast("tuple[tuple[str, object], ...]", names))
    except BadIdentity:
        return False
    return identity.role == "node" and identity.cluster == cluster


def _shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, cert: str | None = None
) -> ssl.SSLObject:
    """Return the client's side of a handshake in memory.

    Raises:
        ssl.SSLError: If there is none; a ConfigurationError if ``cert`` is given.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(_HANDSHAKE_TURNS):
            done = [_step(ours), _step(theirs)]
            if all(done):
                break
    except ssl.SSLError as error:
        if cert is None:
            raise
        raise _unusable(cert, error) from None
    return ours


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _unusable(cert: str, error: ssl.SSLError) -> ConfigurationError:
    return ConfigurationError(
        "tls_cert", cert, f"a certificate that TLS 1.2 or 1.3 can use ({error.reason})"
    )

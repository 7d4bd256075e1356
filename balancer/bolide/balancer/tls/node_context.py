"""The balancer's side of TLS to the nodes, and the proof that a node is who it should be.

OpenSSL checks chain, time and purpose in a full handshake. Who the certificate names is checked
here, after the handshake and before a byte is sent: :meth:`NodeContext.prove`.

Resumed sessions. A session that was kept of a proved connection saves the next ones two signatures
and their checks. OpenSSL does not look at the certificate again then. So a session is of one node,
comes from a full handshake, is used no longer than its certificate lasts, and not after
:data:`MAX_RESUMED_S`; and the deny list is looked at each time. The same session is used again and
again: Python copies one when it is taken from a connection or given to one, through its DER form,
for 0.13 ms each time, so that a new one for each connection costs what resuming saves.
"""

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, cast

from bolide.balancer.tls.engine import Engine, Proven, client_engine
from bolide.balancer.tls.openssl_configuration import CIPHERS
from bolide.balancer.worker.messages import NodeTLS
from bolide.core.errors import BolideError, ConfigurationError
from bolide.core.fingerprints import fingerprint
from bolide.core.identity import BadIdentity, Identity, identity_of

__all__ = ["MAX_REMEMBERED", "MAX_RESUMED_S", "NodeContext", "Reason", "Untrusted"]

MAX_RESUMED_S: Final = 3600.0
"""How long sessions are resumed after a full handshake, seconds."""
MAX_REMEMBERED: Final = 1024
"""Of how many nodes something is remembered; those that proved themselves last stay."""

Reason: TypeAlias = Literal[
    "no-certificate", "denied", "ended", "no-identity", "other-cluster", "other-role", "other-name"
]


class Untrusted(BolideError):
    """A node's certificate is not that of the node that was to be reached.

    Attributes:
        reason: A fixed word, for logs and metrics.
    """

    code: ClassVar[str] = "untrusted-node"

    def __init__(self, reason: Reason) -> None:
        """Keep why; nothing of the certificate is repeated."""
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Say why."""
        return f"The node's certificate is refused: {self.reason}."


@dataclass(frozen=True, slots=True)
class _Proof:
    """A certificate that was found to be a node's.

    Attributes:
        certificate: DER.
        ends: When it ends, seconds since 1970.
    """

    certificate: bytes
    ends: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the next connection may begin with.

    Attributes:
        session: Of TLS.
        server_name: What it was asked for.
        full_at: When hands were shaken in full for it, seconds since 1970.
    """

    session: ssl.SSLSession
    server_name: str | None
    full_at: float


class NodeContext:
    """Makes connections to nodes secret, and proves whom they reach.

    Args:
        settings: How nodes are reached.
        cluster: Whose nodes they are.
        wall_s: The time of day, seconds since 1970.

    Raises:
        ConfigurationError: If a file cannot be used.
    """

    def __init__(
        self, settings: NodeTLS, cluster: str, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        """Read the files."""
        self._verify = settings.verify
        self._denied = settings.denied
        self._cluster = cluster
        self._wall_s = wall_s
        self._context = None if settings.verify == "off" else _context(settings)
        self._proofs: dict[str, _Proof] = {}
        self._kept: dict[str, _Kept] = {}

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context of the client's side; None where nodes are reached without TLS."""
        return self._context

    def wrap(self, raw: socket.socket, name: str, server_name: str) -> socket.socket:
        """Return a connection that has not shaken hands yet.

        Args:
            raw: Non-blocking; connected, or not yet: then what is returned has a ``connect_ex()``.
                It must not be used any more, unless it is what is returned: where nodes are
                reached without TLS.
            name: Of the node.
            server_name: What TLS asks it for; may be empty unless certificates are for host names.
        """
        if self._context is None:
            return raw
        asked = server_name or None
        return self._context.wrap_socket(
            raw,
            do_handshake_on_connect=False,
            server_hostname=asked,
            session=self._session_for(name, asked),
        )

    def engine(self, raw: socket.socket, name: str, server_name: str) -> Engine | None:
        """Return OpenSSL's side of a connection, which has not shaken hands yet.

        Args:
            raw: As for :meth:`wrap`, but it stays in use.
            name: Of the node.
            server_name: As for :meth:`wrap`.

        Returns:
            None where nodes are reached without TLS.
        """
        if self._context is None:
            return None
        asked = server_name or None
        return client_engine(self._context, raw, asked, self._session_for(name, asked))

    def prove(self, connection: socket.socket | Engine, name: str) -> None:
        """Make sure that a node is reached; to be called when hands were shaken.

        Args:
            connection: As :meth:`wrap` or :meth:`engine` returned it.
            name: Of the node.

        Raises:
            Untrusted: If it is somebody else, or is denied, or its certificate has ended.
        """
        if self._context is None:
            return
        proven = cast("Proven", connection)
        certificate = proven.getpeercert(True)
        if certificate is None:
            raise Untrusted("no-certificate")
        if self._denied and fingerprint(certificate) in self._denied:
            self._forget(name)
            raise Untrusted("denied")
        proof = self._proofs.get(name)
        if proof is None or proof.certificate != certificate:
            proof = self._check(proven, certificate, name)
        if self._wall_s() >= proof.ends:
            self._forget(name)
            raise Untrusted("ended")
        if proof is not self._proofs.get(name):
            self._forget(name)
            while len(self._proofs) >= MAX_REMEMBERED:
                self._forget(next(iter(self._proofs)))
            self._proofs[name] = proof

    def remember(self, name: str, connection: socket.socket | Engine) -> None:
        """Keep the session of a connection for the next one to the same node.

        Args:
            name: Of the node.
            connection: Proved. With TLS 1.3 there is a session only after data came from the node;
                before that nothing happens.
        """
        proof = self._proofs.get(name)
        if proof is None:
            return
        proven = cast("Proven", connection)
        if proven.session_reused:
            return  # its child would be as good as itself
        if proven.getpeercert(True) != proof.certificate:
            return
        session = proven.session
        if session is not None and session.has_ticket:
            self._kept[name] = _Kept(session, proven.server_hostname, self._wall_s())

    def _session_for(self, name: str, asked: str | None) -> ssl.SSLSession | None:
        kept = self._kept.get(name)
        if kept is None:
            return None
        if self._is_good(name, kept, asked):
            return kept.session
        del self._kept[name]
        return None

    def _is_good(self, name: str, kept: _Kept, asked: str | None) -> bool:
        now = self._wall_s()
        proof = self._proofs.get(name)
        return (
            proof is not None
            and now < proof.ends
            and kept.full_at <= now < kept.full_at + MAX_RESUMED_S
            and kept.server_name == asked
        )

    def _forget(self, name: str) -> None:
        self._proofs.pop(name, None)
        self._kept.pop(name, None)

    def _check(self, connection: Proven, certificate: bytes, name: str) -> _Proof:
        """Read a certificate that was not seen before.

        Raises:
            Untrusted: If it is not the node's.
        """
        # Empty only if it was not checked, and the context demands that it is.
        read = connection.getpeercert() or {}
        if self._verify == "role":
            names = cast("tuple[tuple[str, object], ...]", read.get("subjectAltName", ()))
            try:
                identity = identity_of(names)
            except BadIdentity:
                raise Untrusted("no-identity") from None
            _compare(identity, self._cluster, name)
        return _Proof(certificate, ssl.cert_time_to_seconds(cast(str, read["notAfter"])))


def _compare(identity: Identity, cluster: str, name: str) -> None:
    if identity.cluster != cluster:
        raise Untrusted("other-cluster")
    if identity.role != "node":
        raise Untrusted("other-role")
    if identity.name != name:
        raise Untrusted("other-name")


def _context(settings: NodeTLS) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate
    context.check_hostname = settings.verify == "name"
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _believe(context, settings)
    if settings.chain:
        _present(context, settings)
    elif settings.verify == "role":
        expected = "a PEM file with this balancer's certificate: nodes take nobody without one"
        raise ConfigurationError("nodes.tls.chain", None, expected)
    return context


def _believe(context: ssl.SSLContext, settings: NodeTLS) -> None:
    if not settings.ca:
        if settings.verify == "role":
            # Any authority of the web could name itself a node otherwise.
            expected = "a PEM file with the authority of the cluster (`bolide ca create` makes one)"
            raise ConfigurationError("nodes.tls.ca", None, expected)
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("nodes.tls.ca", settings.ca, _pem(error)) from None


def _present(context: ssl.SSLContext, settings: NodeTLS) -> None:
    def no_passphrase() -> str:
        raise ConfigurationError(
            "nodes.tls.key", settings.key, "a key without a passphrase: nobody is there to type it"
        )

    try:
        context.load_cert_chain(settings.chain, settings.key or None, no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            "nodes.tls.chain",
            settings.chain,
            f"{_pem(error)}; and nodes.tls.key the key that belongs to it",
        ) from None


def _pem(error: OSError) -> str:
    why = getattr(error, "reason", None) or error.strerror
    return f"a readable PEM file ({why})" if why else "a readable PEM file"

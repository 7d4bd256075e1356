"""Whom a listener of a node lets in, by the certificate that it asked for.

OpenSSL checks chain, time and purpose in a full handshake. In one that resumes a session it checks
nothing, and every resumption makes a new ticket; so what can change meanwhile is checked for each
connection: whether the certificate has ended, and whether it is denied.
"""

import ssl
import time
from collections.abc import Callable
from typing import Final, cast

import structlog

from bolide.core.fingerprints import fingerprint
from bolide.core.identity import BadIdentity, Identity, Role, identity_of
from bolide.server.web.tls.denied_file import DeniedFile

__all__ = ["Admission", "NotAdmitted"]

_TELL_EVERY_S: Final = 60.0
_MAX_KNOWN: Final = 256

_log = structlog.get_logger("bolide.web")


class NotAdmitted(Exception):
    """The peer's certificate does not let it in; the text is a fixed word."""


class Admission:
    """The rule of one listener.

    Args:
        cluster: Whose members are let in.
        roles: Which of them.
        denied: Who is not, all the same.
        wall_s: The time of day, seconds since 1970.
    """

    def __init__(
        self,
        cluster: str,
        roles: frozenset[Role],
        denied: DeniedFile | None = None,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Know nobody yet."""
        self._cluster = cluster
        self._roles = roles
        self._denied = denied
        self._wall_s = wall_s
        # Certificates that were read: those of a few balancers and operators.
        self._known: dict[bytes, tuple[Identity, float]] = {}
        self._told_at: dict[str, float] = {}

    def __call__(self, connection: ssl.SSLSocket) -> Identity:
        """Return who connects.

        Args:
            connection: Hands were shaken, and the context demands a certificate.

        Raises:
            NotAdmitted: If it is nobody who may; the log says why, now and then.
        """
        try:
            return self._admitted(connection)
        except NotAdmitted as error:
            self._tell(str(error))
            raise

    def _admitted(self, connection: ssl.SSLSocket) -> Identity:
        certificate = connection.getpeercert(binary_form=True)
        if certificate is None:
            raise NotAdmitted("no-certificate")
        if self._denied is not None and self._denied.holds(fingerprint(certificate)):
            raise NotAdmitted("denied")
        known = self._known.get(certificate)
        if known is None:
            known = self._read(connection)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[certificate] = known
        identity, ends = known
        if self._wall_s() >= ends:
            raise NotAdmitted("ended")
        return identity

    def _read(self, connection: ssl.SSLSocket) -> tuple[Identity, float]:
        """Return whom a certificate names if that is one who may, and when it ends."""
        read = connection.getpeercert() or {}
        names = cast("tuple[tuple[str, object], ...]", read.get("subjectAltName", ()))
        try:
            identity = identity_of(names)
        except BadIdentity:
            raise NotAdmitted("no-identity") from None
        if identity.cluster != self._cluster:
            raise NotAdmitted("other-cluster")
        if identity.role not in self._roles:
            raise NotAdmitted("other-role")
        return identity, ssl.cert_time_to_seconds(cast(str, read["notAfter"]))

    def _tell(self, reason: str) -> None:
        """Write into the log why somebody was not let in, not more often than people read it."""
        now = self._wall_s()
        told_at = self._told_at.get(reason)
        if told_at is None or not 0 <= now - told_at < _TELL_EVERY_S:
            self._told_at[reason] = now
            _log.warning("a peer was not let in: its certificate is refused", reason=reason)

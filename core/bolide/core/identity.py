"""Who a certificate says that its owner is: a role and a name in a cluster.

The identity is the one URI among a certificate's subject alternative names, as SPIFFE has it:
``bolide://<cluster>/<role>/<name>``. An authority that signed a certificate answers for the
identity; this module only reads and writes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, cast, get_args

from bolide.core.errors import BolideError

__all__ = [
    "MAX_NAME_LENGTH",
    "ROLES",
    "BadIdentity",
    "Identity",
    "Role",
    "identity_of",
    "is_name",
    "parse_identity",
]

Role: TypeAlias = Literal["node", "balancer", "ops"]
"""``node`` serves, ``balancer`` connects to nodes for browsers, ``ops`` manages both."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
MAX_NAME_LENGTH: Final = 63
"""Longest name of a cluster or of its parts, characters."""

# One spelling of each name: small letters, so that names are compared as they are, and nothing
# that a path, a URL, a log or a host name would read in another way.
_NAME: Final = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
_IS_NAME: Final = re.compile(_NAME).fullmatch
_READ: Final = re.compile(rf"bolide://({_NAME})/({'|'.join(ROLES)})/({_NAME})").fullmatch


class BadIdentity(BolideError):
    """A certificate or a text that names no identity, or more than one.

    The text repeats nothing of what was read: it may come from a stranger.
    """

    code: ClassVar[str] = "bad-identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody in a cluster.

    Attributes:
        cluster: Name of the cluster.
        role: What it may do.
        name: Which one of that role.

    Raises:
        BadIdentity: If one of them cannot be written.
    """

    cluster: str
    role: Role
    name: str

    def __post_init__(self) -> None:
        """Refuse what could not be read again."""
        if not (is_name(self.cluster) and is_name(self.name) and self.role in ROLES):
            raise BadIdentity(_FORM)

    def __str__(self) -> str:
        """Write the URI."""
        return f"bolide://{self.cluster}/{self.role}/{self.name}"


_FORM: Final = (
    f"An identity is bolide://CLUSTER/ROLE/NAME: the role is {', '.join(ROLES[:-1])} or"
    f" {ROLES[-1]}; the names are small letters, digits, dots and hyphens, {MAX_NAME_LENGTH} at"
    " most, and begin and end with a letter or a digit"
)


def is_name(text: str) -> bool:
    """Tell whether a cluster, or one in it, may have this name.

    Args:
        text: Such as ``ward-7`` or ``n1.example.org``.
    """
    return _IS_NAME(text) is not None


def parse_identity(uri: str) -> Identity:
    """Read an identity.

    Args:
        uri: Such as ``bolide://hospital/node/n1``.

    Raises:
        BadIdentity: If it is none.
    """
    found = _READ(uri)
    if found is None:
        raise BadIdentity(_FORM)
    cluster, role, name = found.groups()
    return Identity(cluster, cast(Role, role), name)


def identity_of(alternative_names: Iterable[tuple[str, object]]) -> Identity:
    """Return whom a certificate names.

    Args:
        alternative_names: Kind and value of each, as ``subjectAltName`` in what
            ``ssl.SSLSocket.getpeercert()`` returns: ``(("URI", "bolide://..."), ("DNS", "n1"))``.

    Raises:
        BadIdentity: If there is not exactly one URI, or it names nobody.
    """
    uris = [value for kind, value in alternative_names if kind == "URI"]
    if len(uris) != 1:
        raise BadIdentity("A certificate of a cluster has exactly one URI, which is its identity")
    [uri] = uris
    if not isinstance(uri, str):
        raise BadIdentity(_FORM)
    return parse_identity(uri)

"""Where something listens: a host and a port."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

__all__ = ["ADDRESS_FORM", "Address", "parse_address"]

ADDRESS_FORM: Final = "a host and a port, such as 10.0.0.7:3000 or [fd00::7]:3000"

_HIGHEST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A host with a port.

    Attributes:
        host: IP address without brackets, or a name.
        port: 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address, so that nobody has to be asked for it."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def is_loopback(self) -> bool:
        """Whether it is reached from this machine only; a name never is, but ``localhost``."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_address(text: str) -> Address:
    """Read ``10.0.0.7:3000``, ``[fd00::7]:3000`` or ``node-a.internal:3000``.

    Raises:
        ValueError: If it is something else; it says what it must be.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _HIGHEST_PORT:
        raise ValueError(ADDRESS_FORM)
    address = Address(found["ip6"] or found["host"], int(found["port"]))
    if found["ip6"] and not address.is_literal:
        raise ValueError(ADDRESS_FORM)
    return address

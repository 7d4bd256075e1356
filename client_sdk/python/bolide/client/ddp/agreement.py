"""What a client and a server agreed on in ``connect`` and ``connected``.

``docs/reference/ddp-extensions.md`` specifies it.
"""

from dataclasses import dataclass
from typing import Final

from bolide.core.ddp.messages import Connected

__all__ = ["NOTHING_AGREED", "Agreement", "read_agreement"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The extensions of one session.

    Attributes:
        speaks_bolide: Values beyond Meteor's EJSON may be sent.
        extensions: Names of those that the server offers.
        build: What the server serves, or None if it does not tell.
    """

    speaks_bolide: bool
    extensions: frozenset[str] = frozenset()
    build: str | None = None


NOTHING_AGREED: Final = Agreement(speaks_bolide=False)
"""What a server of Meteor agrees to."""


def read_agreement(message: Connected) -> Agreement:
    """Read the server's answer; what is not understood there means nothing."""
    bolide = message.bolide
    if bolide is None:
        return NOTHING_AGREED
    extensions, build = bolide.get("extensions"), bolide.get("build")
    names = extensions if isinstance(extensions, list) else []
    return Agreement(
        speaks_bolide=True,
        extensions=frozenset(name for name in names if isinstance(name, str)),
        build=build if isinstance(build, str) else None,
    )

"""What a client and a server agreed on in ``connect`` and ``connected``.

``docs/reference/ddp-extensions.md`` specifies it.
"""

from dataclasses import dataclass
from typing import Final

from bolide.core.ddp.codec import depth_of
from bolide.core.ddp.messages import Connected, WireError
from bolide.core.errors import Details

__all__ = ["NOTHING_AGREED", "Agreement", "read_agreement"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The extensions of one session.

    Attributes:
        speaks_bolide: Values beyond Meteor's EJSON may be sent.
        extensions: Names of those that the server offers.
        build: What the server serves, or None if it does not tell.
        max_message_bytes: Size of one message of ours, bytes of UTF-8; None if it does not tell.
        max_json_depth: Nesting of arrays and objects in it, levels; None if it does not tell.
    """

    speaks_bolide: bool
    extensions: frozenset[str] = frozenset()
    build: str | None = None
    max_message_bytes: int | None = None
    max_json_depth: int | None = None

    def refusal(self, frame: str) -> WireError | None:
        """Return why the server would not take a message; None if it does, or if nobody knows.

        Args:
            frame: The message as text.
        """
        limit = self.max_message_bytes
        if limit is not None:
            size = len(frame) if frame.isascii() else len(frame.encode())
            if size > limit:
                return _refusal("max_message_bytes", f"takes {size} bytes", size, limit)
        limit = self.max_json_depth
        if limit is not None and frame.count("[") + frame.count("{") > limit:
            depth = depth_of(frame)
            if depth > limit:
                return _refusal("max_json_depth", f"is nested {depth} levels deep", depth, limit)
        return None


NOTHING_AGREED: Final = Agreement(speaks_bolide=False)
"""What a server of Meteor agrees to."""


def read_agreement(message: Connected) -> Agreement:
    """Read the server's answer; what is not understood there means nothing."""
    bolide = message.bolide
    if bolide is None:
        return NOTHING_AGREED
    extensions, build, limits = (bolide.get(key) for key in ("extensions", "build", "limits"))
    names = extensions if isinstance(extensions, list) else []
    return Agreement(
        speaks_bolide=True,
        extensions=frozenset(name for name in names if isinstance(name, str)),
        build=build if isinstance(build, str) else None,
        max_message_bytes=_limit(limits, "max_message_bytes"),
        max_json_depth=_limit(limits, "max_json_depth"),
    )


def _limit(limits: Details, name: str) -> int | None:
    limit = limits.get(name) if isinstance(limits, dict) else None
    return limit if isinstance(limit, int) and not isinstance(limit, bool) else None


def _refusal(name: str, what: str, size: int, limit: int) -> WireError:
    return WireError(
        "message-too-large",
        f"The message {what}, and the server takes {limit} ({name}); it was not sent.",
        {"size": size, "limit": limit},
    )

"""The description of an exception that is safe to log: all but its text and its variables."""

import traceback
from types import TracebackType
from typing import Any, cast

from bolide.core.errors import BolideError
from bolide.server.logging.explained import Explained

__all__ = ["failure_record"]

_MOST_CAUSES = 10


# Values are JSON of various shapes.
def failure_record(error: BaseException) -> list[dict[str, Any]]:
    """Describe an exception without its text, which may quote what a person typed.

    Args:
        error: Any exception.

    Returns:
        The exception first and its causes after it, at most 10: ``{"type": name, "at":
        ["file:line in function", ...]}`` with ``code`` for Bolide's and MongoDB's errors,
        ``explanation`` where the text names only what the app registered, and ``parts`` for an
        exception group.
    """
    return [_described(one) for one in _chain(error)]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while len(chain) < _MOST_CAUSES:
        last = chain[-1]
        cause = last.__cause__
        if cause is None and not last.__suppress_context__:
            cause = last.__context__
        if cause is None or any(cause is known for known in chain):
            break
        chain.append(cause)
    return chain


def _described(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    described: dict[str, Any] = {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "at": _frames(error.__traceback__),
    }
    if isinstance(error, BolideError):
        described["code"] = error.code
    elif kind.__module__ == "pymongo.errors" and isinstance(getattr(error, "code", None), int):
        # MongoDB's number: the one thing that tells its errors apart.
        described["code"] = cast(Any, error).code
    if isinstance(error, Explained):
        described["explanation"] = str(error)
    if isinstance(error, BaseExceptionGroup):
        parts = cast("tuple[BaseException, ...]", error.exceptions)[:_MOST_CAUSES]  # pyright: ignore[reportUnknownMemberType]
        described["parts"] = [failure_record(part) for part in parts]
    return described


def _frames(trace: TracebackType | None) -> list[str]:
    """Say where each frame stood; source lines and variables are left out."""
    return [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        for frame, line in traceback.walk_tb(trace)
    ]

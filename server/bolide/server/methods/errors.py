"""What an error becomes: a message to the client, a record in the log."""

import re
from typing import Final

from pymongo.errors import ConnectionFailure
from structlog.typing import FilteringBoundLogger

from bolide.core.ddp.codec import serialize
from bolide.core.ddp.messages import Nosub, WireError
from bolide.core.errors import AuthError, Details, MethodError, RateLimited
from bolide.server.logging.log import describe_failure

__all__ = ["log_failure", "wire_error"]

_LONGEST_NAME: Final = 64
_NAME: Final = re.compile(r"[A-Za-z_]{1,31}[0-9]{0,2}([-.:/][A-Za-z_]{1,31}[0-9]{0,2})*")
_NUMBERS_END: Final = 1_000
_HIDDEN: Final = "?"
_INTERNAL = WireError(500, "Internal server error")
_NO_DATABASE = WireError(
    "database-unavailable", "The database cannot be reached now. Try again a little later."
)


def wire_error(error: BaseException) -> WireError:
    """Make what the client is told.

    Args:
        error: What a handler raised. The text of a ``MethodError`` goes out as it is; a refusal
            is 403 or ``too-many-requests``; a database that does not answer is
            ``database-unavailable``; all else is 500, whatever it says.
    """
    if isinstance(error, MethodError):
        wire = WireError(error.error, error.reason, error.details)
        return wire if _can_be_sent(wire) else _INTERNAL
    if isinstance(error, AuthError):
        return WireError(403, str(error))
    if isinstance(error, RateLimited):
        details: dict[str, Details] = {"timeToReset": round(error.retry_after_s * 1000)}
        return WireError("too-many-requests", str(error), details)
    if isinstance(error, ConnectionFailure):
        return _NO_DATABASE
    return _INTERNAL


def log_failure(log: FilteringBoundLogger, error: BaseException, **names: str | None) -> None:
    """Write down that a handler failed, without the text of the exception.

    Answers that were meant for the client are a line of level info with their class's code and
    with what the client is told as ``error``: the app's own name for it, or a number.

    Args:
        log: A bound logger.
        error: What the handler raised.
        names: What failed, such as ``method="patients.move"``; names that the app registered, never
            arguments.
    """
    if isinstance(error, MethodError) and wire_error(error) is _INTERNAL:
        log.error("failed: the details of a MethodError are not JSON", **names)
    elif isinstance(error, (MethodError, AuthError, RateLimited)):
        log.info("refused", code=error.code, error=_name_of(error), **names)
    else:
        log.error("failed", **describe_failure(error), **names)


def _name_of(error: BaseException) -> str | int:
    """Return the name or number that the client is told; ``?`` for what does not look like one."""
    name = wire_error(error).error
    # Names are written by programs, but a program may put its data there.
    if isinstance(name, str):
        return name if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else _HIDDEN
    return name if isinstance(name, int) and 0 <= name < _NUMBERS_END else _HIDDEN


def _can_be_sent(error: WireError) -> bool:
    """Tell whether an error is JSON; an app may put anything into one."""
    try:
        serialize(Nosub("", error))
    except Exception:
        return False
    return True

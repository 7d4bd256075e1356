"""What an error becomes: a message to the client, a record in the log."""

from structlog.typing import FilteringBoundLogger

from bolide.core.ddp.codec import serialize
from bolide.core.ddp.messages import Nosub, WireError
from bolide.core.errors import AuthError, Details, MethodError, RateLimited
from bolide.server.log import describe_failure

__all__ = ["log_failure", "wire_error"]

_INTERNAL = WireError(500, "Internal server error")


def wire_error(error: BaseException) -> WireError:
    """Make what the client is told.

    Args:
        error: What a handler raised. The text of a ``MethodError`` goes out as it is; a refusal
            is 403 or ``too-many-requests``; all else is 500, whatever it says.
    """
    if isinstance(error, MethodError):
        wire = WireError(error.error, error.reason, error.details)
        return wire if _can_be_sent(wire) else _INTERNAL
    if isinstance(error, AuthError):
        return WireError(403, str(error))
    if isinstance(error, RateLimited):
        details: dict[str, Details] = {"timeToReset": round(error.retry_after_s * 1000)}
        return WireError("too-many-requests", str(error), details)
    return _INTERNAL


def log_failure(log: FilteringBoundLogger, error: BaseException, **names: str | None) -> None:
    """Write down that a handler failed, without the text of the exception.

    Answers that were meant for the client are a line of level info with their class's code.

    Args:
        log: A bound logger.
        error: What the handler raised.
        names: What failed, such as ``method="patients.move"``; names that the app registered, never
            arguments.
    """
    if isinstance(error, MethodError) and wire_error(error) is _INTERNAL:
        log.error("failed: the details of a MethodError are not JSON", **names)
    elif isinstance(error, (MethodError, AuthError, RateLimited)):
        log.info("refused", code=error.code, **names)
    else:
        log.error("failed", **describe_failure(error), **names)


def _can_be_sent(error: WireError) -> bool:
    """Tell whether an error is JSON; an app may put anything into one."""
    try:
        serialize(Nosub("", error))
    except Exception:
        return False
    return True

"""The log: JSON lines without what people typed.

The texts of exceptions, the variables of their frames and the arguments of other libraries'
messages never reach it, because each may quote patient data. Under ``--insecure-dev`` they are
shown on the terminal.
"""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bolide.server.logging.failures import failure_record

__all__ = ["configure_log", "describe_failure", "shows_texts"]


class _Lossy:
    """A stream that forgets what nobody takes: a terminal that was closed, a disk that is full.

    A line of the log is lost then. Raised into a session, the error would lose the session, too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Texts:
    """Whether exception texts are shown; of the process, as the configuration of logs is."""

    are_shown = False


def configure_log(
    stream: TextIO | None = None, *, insecure_dev: bool = False, level: int = logging.INFO
) -> None:
    """Let structlog and the logging of other libraries write to one stream.

    Args:
        stream: Where to; None is standard error. A terminal gets readable lines, all else JSON.
        insecure_dev: Show the texts of exceptions, if the stream is a terminal.
        level: Least level that is written.
    """
    target: TextIO = stream or sys.stderr
    is_terminal = target.isatty()
    _Texts.are_shown = insecure_dev and is_terminal
    renderer: Processor = _to_terminal if is_terminal else structlog.processors.JSONRenderer()
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _without_exception,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lossy(target))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_first_line, structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            use_get_message=_Texts.are_shown,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def shows_texts() -> bool:
    """Tell whether the texts of exceptions are shown: asked for, and on a terminal."""
    return _Texts.are_shown


# Values of a log record: whatever JSON holds.
def describe_failure(error: BaseException) -> dict[str, Any]:
    """Return what a log record says of an exception: ``failure``, and ``text`` where it is shown.

    Args:
        error: Any exception.
    """
    described: dict[str, Any] = {"failure": failure_record(error)}
    if _Texts.are_shown:
        described["text"] = "".join(traceback.format_exception(error))
    return described


_console = structlog.dev.ConsoleRenderer()


def _to_terminal(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Make a readable line; a traceback that is shown stands below it, instead of its summary."""
    text: object = event.pop("text", None)
    if text is None:
        return str(_console(logger, name, event))
    event.pop("failure", None)
    return f"{_console(logger, name, event)}\n{text}".rstrip()


def _without_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put our description in the place of an exception, however it was handed in."""
    given: object = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if isinstance(given, tuple):
        error = cast("tuple[object, object, object]", given)[1]
    else:
        error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        event.update(describe_failure(error))
    return event


def _first_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut a message of another library to its first line: asyncio writes exceptions below it."""
    if not _Texts.are_shown:
        event["event"] = str(event["event"]).partition("\n")[0]
    return event

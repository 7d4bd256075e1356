"""The event loop of a command, and how it is told to end."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager

import uvicorn

__all__ = ["run_loop", "stop_signals"]

_PATIENCE_S = 1.0
"""`timeout` and terminals signal a process and its group, so the same wish may come twice."""
# SIGHUP: the terminal was closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals(
    *, patience_s: float = _PATIENCE_S, hurried: asyncio.Event | None = None
) -> Generator[asyncio.Event]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set, for the time of the block.

    The first signal only sets the event; one that comes later ends the process at once.

    Args:
        patience_s: How long further signals mean the same as the first, seconds.
        hurried: Is set by one that comes later, which then ends nothing by itself.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def forget() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    timers: list[asyncio.TimerHandle] = []

    began = 0.0

    def stop() -> None:
        nonlocal began
        if not stopped.is_set():
            stopped.set()
            began = loop.time()
            if hurried is None:
                timers.append(loop.call_later(patience_s, forget))
        elif hurried is not None and loop.time() - began >= patience_s:
            hurried.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for timer in timers:
            timer.cancel()
        forget()


def run_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function on the fastest event loop there is.

    Args:
        main: Called inside the loop.
    """
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def _nothing(*_: object) -> None:
    """Stand for the application where only the configuration counts."""

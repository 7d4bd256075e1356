"""The registry of jobs."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from bolide.core.errors import ConfigurationError
from bolide.server.arguments import location_of
from bolide.server.jobs.schedule import Schedule

__all__ = ["Job", "JobHandler", "Jobs"]

JobHandler: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is run when its time comes.

    Attributes:
        name: Its name, the same on every node.
        handler: The function.
        schedule: Its times.
    """

    name: str
    handler: JobHandler
    schedule: Schedule


class Jobs:
    """All jobs of an app."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_name: dict[str, Job] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_name)

    def __iter__(self) -> Iterator[Job]:
        """Yield them in the order they were added."""
        return iter(self._by_name.values())

    def add(self, name: str | None, handler: JobHandler, schedule: Schedule) -> Job:
        """Register a job.

        Args:
            name: Its name; None: the function's, with its module.
            handler: The function.
            schedule: Its times.

        Raises:
            ConfigurationError: If the name is no text, is empty, or taken.
            TypeError: If the handler cannot be one; the text says why.
        """
        location = location_of(handler)
        name = location if name is None else name
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("The name of a job", name, "a text that is not empty")
        where = f"The handler of the job {name} ({location})"
        is_async: bool = inspect.iscoroutinefunction(handler)
        if not is_async:
            raise TypeError(f"{where} is not a coroutine function: write `async def`.")
        try:
            inspect.signature(handler).bind()
        except TypeError:
            raise TypeError(f"{where} takes arguments, but a job is given none.") from None
        if name in self._by_name:
            raise ConfigurationError(
                f"The handler of the job {name}",
                location,
                "the only one: another has the name already; give one of them a name=",
            )
        job = self._by_name[name] = Job(name, handler, schedule)
        return job

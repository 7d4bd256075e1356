"""When a job is due: a function of what was done and of the time, both given.

A schedule is asked with a *mark*: the time up to which its times are accounted for. What a run
accounts for is the schedule's own affair, because an interval counts from the last run and a
cron expression from the calendar.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from bolide.core.errors import ConfigurationError

__all__ = ["LATE_MS", "LEAST_PERIOD", "Cron", "Every", "Schedule"]

LEAST_PERIOD: Final = timedelta(seconds=1)
"""Shortest period: each run is two writes to the store."""

LATE_MS: Final = 60_000
"""How long after its time a run that is not caught up still counts as in time, milliseconds."""

_LONGEST_PERIOD: Final = timedelta(days=36_500)
_FIELDS: Final = 5
# Any date: whether an expression ever has a time does not depend on it.
_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Schedule(Protocol):
    """The times of a job; all are UTC milliseconds since 1970."""

    @property
    def text(self) -> str:
        """What it is, for people."""
        ...

    def due_ms(self, mark_ms: int, now_ms: int) -> int:
        """Return the first time that is not accounted for; in the past if it was missed."""
        ...

    def mark_ms(self, due_ms: int, started_ms: int, ended_ms: int) -> int:
        """Return the mark after a run.

        Args:
            due_ms: The time that it was run for.
            started_ms: When it began.
            ended_ms: When it ended; times since it began are missed, and not made up for.
        """
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """A period from the beginning of one run to that of the next.

    Attributes:
        period_ms: Its length, milliseconds.
    """

    period_ms: int

    @classmethod
    def of(
        cls,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> "Every":
        """Make one of its parts, which are added up.

        Raises:
            ConfigurationError: If they make no period of a second or more.
        """
        given = dict(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        parts = {name: value for name, value in given.items() if value != 0}
        try:
            period = timedelta(**parts)
        except (OverflowError, TypeError, ValueError):
            period = timedelta(0)
        if not LEAST_PERIOD <= period <= _LONGEST_PERIOD:
            told = ", ".join(f"{name}={value!r}" for name, value in parts.items())
            expected = "1 second at least and 100 years at most, such as minutes=5"
            raise ConfigurationError("The period of @app.every", told or None, expected)
        return cls(round(period.total_seconds() * 1000))

    @property
    def text(self) -> str:
        """Such as ``every 1:30:00``, hours, minutes and seconds."""
        return f"every {timedelta(milliseconds=self.period_ms)}"

    def due_ms(self, mark_ms: int, now_ms: int) -> int:
        """Return when the next run is due: a period after the last one."""
        return mark_ms + self.period_ms

    def mark_ms(self, due_ms: int, started_ms: int, ended_ms: int) -> int:
        """Return the beginning of the run, or the last whole period after it that it covered."""
        return ended_ms - max(0, ended_ms - started_ms) % self.period_ms


@dataclass(frozen=True, slots=True)
class Cron:
    """The times of a cron expression in a time zone.

    What happens when clocks are changed is Debian's cron: with a fixed minute and hour, a time
    that is skipped comes as soon as the clock goes on, and one that there is twice comes once;
    an expression with ``*`` in one of these fields follows the clock as it is.

    Attributes:
        expression: Minute, hour, day of month, month, day of week.
        timezone: Whose clock.
        catches_up: A time that was missed, because no node ran, is run for later, once.
    """

    expression: str
    timezone: ZoneInfo
    catches_up: bool = True

    @classmethod
    def of(cls, expression: str, timezone: str, *, catch_up: bool) -> "Cron":
        """Make one of what a developer wrote.

        Raises:
            ConfigurationError: If the expression or the time zone is none.
        """
        try:
            zone = ZoneInfo(timezone)
        except (OSError, TypeError, ValueError, LookupError) as error:
            expected = "a time zone of the IANA database, such as Europe/Berlin"
            raise ConfigurationError("timezone of @app.cron", timezone, expected) from error
        option = "The expression of @app.cron"
        expected = "five fields, minute hour day month weekday, such as 30 2 * * *"
        fields = expression.split() if isinstance(expression, str) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
        if len(fields) != _FIELDS:
            raise ConfigurationError(option, expression, expected)
        schedule = cls(" ".join(fields), zone, catch_up)
        try:
            schedule._after(_ms(_SOME_DAY))
        except CronSimError as error:
            raise ConfigurationError(option, expression, f"{expected} ({error})") from error
        return schedule

    @property
    def text(self) -> str:
        """Such as ``cron 30 2 * * * Europe/Berlin``."""
        return f"cron {self.expression} {self.timezone.key}"

    def due_ms(self, mark_ms: int, now_ms: int) -> int:
        """Return the first time after the mark; without catching up, one that is not long ago."""
        return self._after(mark_ms if self.catches_up else max(mark_ms, now_ms - LATE_MS))

    def mark_ms(self, due_ms: int, started_ms: int, ended_ms: int) -> int:
        """Return the end of the run: it stands for all times before."""
        return max(due_ms, ended_ms)

    def _after(self, mark_ms: int) -> int:
        """Return the first time after the mark.

        Raises:
            CronSimError: If there is none in 50 years, whatever the mark.
        """
        mark = datetime.fromtimestamp(mark_ms / 1000, self.timezone)
        for time in CronSim(self.expression, mark):
            due_ms = _ms(time)
            # In an hour that there is twice, the library may come to a time of the first one.
            if due_ms > mark_ms:
                return due_ms
        raise CronSimError("it is never due")


def _ms(time: datetime) -> int:
    return math.floor(time.timestamp()) * 1000

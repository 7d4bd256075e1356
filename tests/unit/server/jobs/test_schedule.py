"""When jobs are due: periods, calendars, and the nights on which clocks are changed."""

from datetime import datetime, timedelta

# What a developer may write by mistake.
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.core.errors import ConfigurationError
from bolide.server.jobs.schedule import LATE_MS, Cron, Every

BERLIN = "Europe/Berlin"
MINUTE_MS = 60_000


def ms(text: str, zone: str = BERLIN) -> int:
    """Return the time of a text; ``*`` behind it is the second time of an hour there is twice."""
    time = datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=ZoneInfo(zone))
    return round(time.replace(fold=text.endswith("*")).timestamp() * 1000)


def cron(expression: str, zone: str = BERLIN, *, catch_up: bool = True) -> Cron:
    return Cron.of(expression, zone, catch_up=catch_up)


def times(schedule: Cron, start: str, count: int) -> list[str]:
    """Return the first times after a start, as clocks on the wall show them."""
    mark, found = ms(start, schedule.timezone.key), list[str]()
    for _ in range(count):
        mark = schedule.due_ms(mark, 0)
        shown = datetime.fromtimestamp(mark / 1000, schedule.timezone)
        found.append(f"{shown:%m-%d %H:%M}{'*' * shown.fold}")
    return found


class TestEvery:
    def test_the_parts_of_a_period_are_added_up(self) -> None:
        whole = timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)
        period = Every.of(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)
        assert period.period_ms == whole.total_seconds() * 1000
        assert Every.of(hours=1.5).text == "every 1:30:00"

    @pytest.mark.parametrize(
        ("parts", "told"),
        [
            ({}, "is not set, but must be 1 second at least"),
            ({"seconds": 0.5}, "'seconds=0.5'"),
            ({"minutes": -5}, "'minutes=-5'"),
            ({"hours": 1, "minutes": -60}, "'hours=1, minutes=-60'"),
            ({"weeks": 10**9}, "'weeks=1000000000'"),
            ({"days": 36_501}, "'days=36501'"),
            ({"seconds": float("nan")}, "'seconds=nan'"),
            ({"seconds": float("inf")}, "'seconds=inf'"),
            ({"minutes": "5"}, "minutes='5'"),
        ],
    )
    def test_what_is_no_period_is_refused(self, parts: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigurationError, match=r"The period of @app\.every is") as refused:
            Every.of(**parts)
        assert told in str(refused.value)

    def test_it_is_due_a_period_after_the_last_run_began(self) -> None:
        every = Every.of(minutes=5)
        mark = every.mark_ms(ms("2026-05-04T10:00"), ms("2026-05-04T10:01"), ms("2026-05-04T10:02"))
        assert every.due_ms(mark, 0) == ms("2026-05-04T10:06")

    def test_times_that_a_run_covers_are_left_out(self) -> None:
        every = Every.of(minutes=5)
        start = ms("2026-05-04T10:00")
        mark = every.mark_ms(start, start, ms("2026-05-04T10:07"))
        assert every.due_ms(mark, 0) == ms("2026-05-04T10:10")

    def test_a_clock_that_was_set_back_in_a_run_does_no_harm(self) -> None:
        every = Every.of(minutes=5)
        mark = every.mark_ms(ms("2026-05-04T10:00"), ms("2026-05-04T10:00"), ms("2026-05-04T09:00"))
        assert every.due_ms(mark, 0) == ms("2026-05-04T09:05")

    @given(st.integers(1_000, 10**9), st.integers(0, 10**12), st.integers(0, 10**10))
    def test_the_next_time_is_a_whole_period_on_and_after_the_run(
        self, period: int, start: int, length: int
    ) -> None:
        every = Every(period)
        due = every.due_ms(every.mark_ms(start, start, start + length), 0)
        assert due > start + length
        assert due - period <= start + length
        assert (due - start) % period == 0


class TestCron:
    def test_it_is_due_at_the_times_of_the_time_zone(self) -> None:
        night = cron("30 2 * * *")
        assert times(night, "2026-05-04T12:00", 2) == ["05-05 02:30", "05-06 02:30"]
        assert night.due_ms(ms("2026-05-04T12:00"), 0) == ms("2026-05-05T00:30", "UTC")
        assert night.text == "cron 30 2 * * * Europe/Berlin"

    def test_names_steps_and_lists_are_understood(self) -> None:
        found = times(cron("*/20 9-10 * jan,may MON"), "2026-05-04T09:30", 4)
        assert found == ["05-04 09:40", "05-04 10:00", "05-04 10:20", "05-04 10:40"]

    @pytest.mark.parametrize("expression", ["30 2 * * *", "0,30 2 * * *"])
    def test_a_time_that_is_skipped_comes_when_the_clock_goes_on(self, expression: str) -> None:
        first = times(cron(expression), "2026-03-28T12:00", 2)
        assert first[0] == "03-29 03:00"
        assert first[1].startswith("03-30 02:")

    def test_a_time_that_there_is_twice_comes_once(self) -> None:
        assert times(cron("30 2 * * *"), "2026-10-24T12:00", 2) == ["10-25 02:30", "10-26 02:30"]

    def test_a_run_that_ends_in_the_second_such_hour_is_not_begun_again(self) -> None:
        night = cron("30 2 * * *")
        due = night.due_ms(ms("2026-10-24T12:00"), 0)
        mark = night.mark_ms(due, due, ms("2026-10-25T02:15*"))
        assert night.due_ms(mark, 0) == ms("2026-10-26T02:30")

    def test_an_hourly_job_follows_the_clock_as_it_is(self) -> None:
        hourly = cron("30 * * * *")
        assert times(hourly, "2026-03-29T01:00", 2) == ["03-29 01:30", "03-29 03:30"]
        assert times(hourly, "2026-10-25T02:00", 3) == [
            "10-25 02:30", "10-25 02:30*", "10-25 03:30",
        ]  # fmt: skip

    @settings(deadline=None)
    @given(
        st.sampled_from(["30 2 * * *", "0,20,40 2,3 * * *", "*/7 * * * *", "15 */2 * * SUN"]),
        st.sampled_from(["2026-03-28T23:30", "2026-10-24T23:30"]),
        st.integers(0, 6 * 60),
    )
    def test_from_wherever_it_is_asked_the_next_time_is_the_same(
        self, expression: str, start: str, minutes: int
    ) -> None:
        schedule, step, asked = cron(expression), ms(start), ms(start) + minutes * MINUTE_MS
        while step <= asked:
            step = schedule.due_ms(step, 0)
        assert schedule.due_ms(asked, 0) == step

    def test_missed_times_are_caught_up_by_one_run(self) -> None:
        hourly = cron("0 * * * *")
        mark, now = ms("2026-05-04T02:00"), ms("2026-05-04T09:30")
        due = hourly.due_ms(mark, now)
        assert due < now
        assert hourly.due_ms(hourly.mark_ms(due, now, now + 1), now) == ms("2026-05-04T10:00")

    def test_without_catching_up_a_missed_time_is_left_out(self) -> None:
        hourly = cron("0 * * * *", catch_up=False)
        mark, ten = ms("2026-05-04T02:00"), ms("2026-05-04T10:00")
        assert hourly.due_ms(mark, ten + LATE_MS) == ms("2026-05-04T11:00")
        assert hourly.due_ms(mark, ten + LATE_MS - 1) == ten

    def test_a_run_stands_for_its_time_even_if_the_clock_was_ahead(self) -> None:
        night = cron("30 2 * * *")
        due = ms("2026-05-05T02:30")
        mark = night.mark_ms(due, due - 800, due - 700)
        assert night.due_ms(mark, 0) == ms("2026-05-06T02:30")

    def test_a_rare_time_is_found(self) -> None:
        rare = cron("0 0 */28 2 MON#5")
        assert rare.due_ms(ms("2072-05-04T12:00"), 0) == ms("2112-02-29T00:00")

    @pytest.mark.parametrize(
        ("expression", "told"),
        [
            ("", "five fields, minute hour day month weekday, such as 30 2 * * *"),
            ("@daily", "five fields"),
            ("* * * * * *", "five fields"),
            (5, "five fields"),
            ("60 * * * *", "(Bad minute)"),
            ("0 0 30 2 *", "(Bad day-of-month)"),
            ("0 0 */30 2 MON#5", "(it is never due)"),
            ("0 25 * * *", "(Bad hour)"),
            ("*/0 * * * *", "(Bad minute)"),
        ],
    )
    def test_what_is_no_expression_is_refused(self, expression: Any, told: str) -> None:
        with pytest.raises(ConfigurationError, match=r"The expression of @app\.cron") as refused:
            Cron.of(expression, "UTC", catch_up=True)
        assert told in str(refused.value)

    @given(st.text("0123456789*/,-#LW ", max_size=14))
    def test_nothing_but_a_refusal_comes_of_a_bad_expression(self, text: str) -> None:
        try:
            schedule = Cron.of(text + " * * *", "UTC", catch_up=True)
        except ConfigurationError:
            return
        assert schedule.due_ms(0, 0) > 0

    @pytest.mark.parametrize("zone", ["Mars/Phobos", "../passwd", "", 5, None, "Europe"])
    def test_what_is_no_time_zone_is_refused(self, zone: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"timezone of @app\.cron is .*Europe/Berlin"):
            Cron.of("* * * * *", zone, catch_up=True)

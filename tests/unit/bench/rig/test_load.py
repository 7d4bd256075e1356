import pytest

from bench.rig.load import QuietSpan, read_report


def test_numbers_that_are_none_become_null() -> None:
    assert read_report('{"cpu_us_per_msg":-nan,"kb":inf,"msgs":0}\n') == {
        "cpu_us_per_msg": None,
        "kb": None,
        "msgs": 0,
    }


def test_a_report_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        read_report("connect: Connection refused")


def _longest(*looks: tuple[float, float]) -> float:
    span = QuietSpan()
    for now, cpu_s in looks:
        span.look(now, cpu_s)
    return span.longest_s


def test_rest_counts_from_the_last_work() -> None:
    assert _longest((0.0, 0.0), (0.5, 0.4), (1.0, 0.4), (1.5, 0.4)) == 1.0


def test_rest_before_the_first_work_does_not_count() -> None:
    assert _longest((0.0, 0.0), (5.0, 0.0), (5.5, 0.4)) == 0.0


def test_a_timer_now_and_then_is_rest() -> None:
    assert _longest((0.0, 0.0), (0.5, 0.5), (1.0, 0.501), (1.5, 0.502)) == 1.0


def test_the_longest_rest_stays_when_work_begins_again() -> None:
    assert _longest((0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (3.0, 2.0), (3.5, 2.0)) == 1.0

"""Amounts as a person reads them."""

import pytest

from bolide.ops.terminal.amounts import age_text, count_text, rate_text, size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (12_345_678, "12.3 MB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9999"),
        (12_345, "12.3k"),
        (123_456, "123k"),
        (999_999, "1000k"),
        (1_234_567, "1.2M"),
        (999_999_999, "1000M"),
        (7_000_000_000, "7.0G"),
    ],
)
def test_counts_have_six_characters_at_most(count: int, text: str) -> None:
    assert count_text(count) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("per_s", "text"), [(None, "-"), (0, "0"), (0.04, "0.0"), (12.34, "12.3"), (123.4, "123")]
)
def test_rates(per_s: float | None, text: str) -> None:
    assert rate_text(per_s) == text


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (0.9, "0 s", "0 s"),
        (59.9, "59 s", "59 s"),
        (60, "1 min", "1 min"),
        (11_520, "3 h 12 min", "3 h"),
        (86_400 + 59, "1 d", "1 d"),
        (90_000 * 3, "3 d 3 h", "3 d"),
    ],
)
def test_times(seconds: float, text: str, short: str) -> None:
    assert age_text(seconds) == text
    assert age_text(seconds, units=1) == short

import inspect

from bench.profile.profile import read_syscalls
from bench.profile.profiled import CpuRecording, MemoryRecording

SUMMARY = """\
    calls syscall
--------- ----------------
   160007 write
      312 epoll_pwait
--------- ----------------
   160319 total
"""


def test_system_calls_are_counted_by_name() -> None:
    assert read_syscalls(SUMMARY) == {"write": 160007, "epoll_pwait": 312}


def test_a_sample_counts_the_running_line_and_all_that_wait_for_it() -> None:
    recording = CpuRecording()

    def inner() -> None:
        recording.sample(0, inspect.currentframe())

    inner()
    recording.sample(0, None)
    recorded = recording.end()
    [(own, count)] = recorded["own"]
    assert own.endswith("inner")
    assert (count, recorded["samples"]) == (1, 1)
    within = dict(recorded["within"])
    assert within[own] == 1
    assert any(
        where.endswith("test_a_sample_counts_the_running_line_and_all_that_wait_for_it")
        for where in within
    )


def test_memory_that_came_since_the_beginning_is_named_by_line() -> None:
    recording = MemoryRecording()
    recording.begin()
    kept = [bytes(1_000) for _ in range(100)]
    recorded = recording.end()
    assert recorded["bytes"] >= 100_000
    assert any("profile/test_profile.py" in where for where, _, _ in recorded["lines"])
    assert len(kept) == 100

"""Run ``bolide`` in this process and record where its time or its memory goes.

``python -m bench.profile.profiled cpu|memory FILE WORD...``: SIGUSR1 begins the recording, SIGUSR2
ends it and writes FILE. Nothing is wrapped: a timer of the process's CPU time interrupts the
program, so what is called often is not made dearer than what is called once. Time inside a call of
C (a ``send``, the event loop) counts for the line of Python that called it, or for the next one
that runs.
"""

import gc
import json
import runpy
import signal
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

__all__ = ["CpuRecording", "MemoryRecording", "main", "place"]

_INTERVAL_S = 0.001
_SHOWN = 40
_BELOW = "Runner.run"  # what runs the event loop waits for everything


class _Recording(Protocol):
    def begin(self) -> None: ...

    def end(self) -> dict[str, Any]: ...


class CpuRecording:
    """Samples of the main thread's stack, one per millisecond of the process's CPU time."""

    def __init__(self) -> None:
        """Record nothing yet."""
        self._own: Counter[str] = Counter()
        self._within: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()
        self._used_s = 0.0

    def begin(self) -> None:
        """Start the timer."""
        self._used_s = time.process_time()
        signal.signal(signal.SIGPROF, self.sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)

    def sample(self, signal_number: int, frame: FrameType | None) -> None:
        """Count the running line and all functions that wait for it."""
        if frame is None:
            return
        self._own[place(frame)] += 1
        self._lines[f"{place(frame)} line {frame.f_lineno}"] += 1
        waiting = set[str]()
        while frame is not None and frame.f_code.co_qualname != _BELOW:
            waiting.add(place(frame))
            frame = frame.f_back
        self._within.update(waiting)

    def end(self) -> dict[str, Any]:
        """Stop the timer and return the counts, and the CPU time that they stand for."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return {
            "cpu_s": time.process_time() - self._used_s,
            "samples": self._own.total(),
            "own": self._own.most_common(_SHOWN),
            "within": self._within.most_common(_SHOWN),
            "lines": self._lines.most_common(_SHOWN),
        }


class MemoryRecording:
    """What Python allocated between two moments, by line."""

    def __init__(self) -> None:
        """Trace from the first import on."""
        tracemalloc.start()
        self._before: tracemalloc.Snapshot | None = None

    def begin(self) -> None:
        """Remember what is there."""
        gc.collect()
        self._before = tracemalloc.take_snapshot()

    def end(self) -> dict[str, Any]:
        """Return what came since, bytes and blocks by line."""
        assert self._before is not None
        gc.collect()
        grown = tracemalloc.take_snapshot().compare_to(self._before, "lineno")
        return {
            "lines": [
                [
                    f"{_short(entry.traceback[0].filename)}:{entry.traceback[0].lineno}",
                    entry.size_diff,
                    entry.count_diff,
                ]
                for entry in grown[:_SHOWN]
            ],
            "bytes": sum(entry.size_diff for entry in grown),
        }


def place(frame: FrameType) -> str:
    """Return ``package/module.py function``."""
    return f"{_short(frame.f_code.co_filename)} {frame.f_code.co_qualname}"


def main() -> None:
    """Run the command line that follows."""
    kind, file, *words = sys.argv[1:]
    recording: _Recording = CpuRecording() if kind == "cpu" else MemoryRecording()

    def finish(signal_number: int, frame: FrameType | None) -> None:
        unfinished = Path(f"{file}.part")
        unfinished.write_text(json.dumps(recording.end()), encoding="utf-8")
        unfinished.rename(file)

    signal.signal(signal.SIGUSR1, lambda _number, _frame: recording.begin())
    signal.signal(signal.SIGUSR2, finish)
    sys.argv = ["bolide", *words]
    runpy.run_module("bolide.ops", run_name="__main__", alter_sys=False)


def _short(path: str) -> str:
    parts = Path(path).parts
    return "/".join(parts[-3:])


if __name__ == "__main__":
    main()

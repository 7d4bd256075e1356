import threading
from pathlib import Path

from bench.rig.lock import only_bench


def test_the_second_bench_waits_for_the_first(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    waiting, done = threading.Event(), threading.Event()

    def second() -> None:
        with only_bench(lambda line: waiting.set(), file):
            done.set()

    thread = threading.Thread(target=second)
    with only_bench(print, file):
        thread.start()
        assert waiting.wait(10)
        assert not done.is_set()
    assert done.wait(10)
    thread.join()

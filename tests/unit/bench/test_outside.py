import json
from pathlib import Path

import pytest

from bench import outside
from bench.outside import read_row, run_outside
from bench.rig.material import BenchImpossible

ROW = {
    "row": "live-queries",
    "unit": "us per change",
    "reference": "100 queries",
    "ours": ["10,000 queries"],
    "figures": {"100 queries": [10.0], "10,000 queries": [12.0]},
}


def test_a_line_of_json_is_a_row() -> None:
    result = read_row(json.dumps(ROW))
    assert result is not None
    assert [line.verdict for line in result.lines()] == [None, "met"]


@pytest.mark.parametrize(
    "line", ["round 1 of 9", "{not json}", '{"row": "x"}', '{"row": 1, "figures": 2}', "[]"]
)
def test_other_lines_are_for_people(line: str) -> None:
    assert read_row(line) is None


def _program(folder: Path, text: str) -> None:
    (folder / "bench").mkdir()
    (folder / "bench" / "__init__.py").touch()
    (folder / "bench" / "live_queries.py").write_text(text, encoding="utf-8")


def test_rows_of_a_program_are_taken_and_its_words_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "PROJECT", tmp_path)
    _program(tmp_path, f"import sys\nprint(*sys.argv[1:])\nprint({json.dumps(ROW)!r})\n")
    said: list[str] = []
    [result] = run_outside("live-queries", 3, said.append)
    assert (result.row, said) == ("live-queries", ["--rounds 3"])


def test_a_program_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "PROJECT", tmp_path)
    _program(tmp_path, "raise SystemExit(3)\n")
    with pytest.raises(BenchImpossible, match="status 3"):
        run_outside("live-queries", 1, print)


def test_a_program_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "PROJECT", tmp_path)
    with pytest.raises(BenchImpossible, match="cross_process"):
        run_outside("cross-process", 1, print)

"""Place: the last line of the developer's own code."""

import json
from pathlib import Path

import pytest

from bolide.core import ejson
from bolide.core.errors import EJSONError
from bolide.ops.node.place import own_place, shown_file


def test_frames_of_python_and_bolide_are_passed_over() -> None:
    with pytest.raises(ValueError, match="Expecting") as of_python:
        json.loads("{")
    with pytest.raises(EJSONError) as of_bolide:
        ejson.parse("{")
    for caught in (of_python, of_bolide):
        assert "test_place.py, line " in own_place(caught.value)


def test_without_a_frame_of_its_own_the_innermost_is_named() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert "decoder.py, line " in own_place(error)


def test_file_below_the_working_directory_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_file(str(tmp_path / "ward" / "app.py")) == "ward/app.py"
    assert shown_file("/elsewhere/app.py") == "/elsewhere/app.py"

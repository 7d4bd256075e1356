"""App module: an app is found, or one line tells what to write instead."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bolide.ops.node.app_module import AppNotFound, load_app
from bolide.server.app import App


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A developer's folder with an app; nothing of it stays imported."""
    package = tmp_path / "clinic_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rooms.py").write_text(
        "from bolide.server.app import App\n\napplication = App()\nother = {}\n"
    )
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [
        name for name in sys.modules if name.endswith("_for_test") or "_for_test." in name
    ]:
        del sys.modules[name]


def why_not(name: str, folder: Path) -> str:
    with pytest.raises(AppNotFound) as caught:
        load_app(name, folder)
    return str(caught.value)


def module_with(folder: Path, text: str) -> None:
    (folder / "broken_for_test.py").write_text(text)


def test_app_is_found(folder: Path) -> None:
    app = load_app("clinic_for_test.rooms:application", folder)
    assert isinstance(app, App)
    assert load_app("clinic_for_test.rooms:application", folder) is app


@pytest.mark.parametrize("name", ["clinic_for_test", ":app", "clinic_for_test:"])
def test_name_without_both_parts_is_refused(name: str, folder: Path) -> None:
    assert why_not(name, folder) == f"{name!r} is no MODULE:APP; write for instance ward.app:app."


def test_wrong_attribute_gets_the_nearest_app(folder: Path) -> None:
    assert why_not("clinic_for_test.rooms:aplication", folder) == (
        "clinic_for_test.rooms has no 'aplication'; did you mean clinic_for_test.rooms:application?"
    )


def test_what_is_no_app_gets_the_app_of_its_module(folder: Path) -> None:
    assert why_not("clinic_for_test.rooms:other", folder) == (
        "clinic_for_test.rooms:other is no App but a dict; "
        "did you mean clinic_for_test.rooms:application?"
    )


def test_module_without_app_is_told_to_make_one(folder: Path) -> None:
    assert why_not("clinic_for_test:app", folder) == (
        "clinic_for_test has no 'app'; clinic_for_test has no App at all; write app = App() in it."
    )


def test_missing_module_gets_the_nearest_one(folder: Path) -> None:
    assert why_not("clinik_for_test.rooms:app", folder) == (
        f"There is no module clinik_for_test in {folder}; did you mean clinic_for_test?"
    )
    assert why_not("clinic_for_test.room:app", folder) == (
        f"There is no module clinic_for_test.room in {folder}; did you mean clinic_for_test.rooms?"
    )


def test_missing_module_without_a_near_one_asks_for_the_folder(folder: Path) -> None:
    assert why_not("zzz:app", folder).endswith("is --app-dir the folder that holds it?")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n1 / 0\n", "ZeroDivisionError: division by zero (broken_for_test.py, line 2)"),
        ("def f(:\n", "SyntaxError: invalid syntax (broken_for_test.py, line 1)"),
        ("import nothing_like_it\n", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("import json\njson.loads('{')\n", "(broken_for_test.py, line 2)"),
        ("raise ValueError\n", "cannot be imported: ValueError (broken_for_test.py, line 1)"),
        ("raise SystemExit(3)\n", "SystemExit: 3 (broken_for_test.py, line 1)"),
    ],
)
def test_error_of_the_module_is_told_with_file_and_line(text: str, why: str, folder: Path) -> None:
    module_with(folder, text)
    told = why_not("broken_for_test:app", folder)
    assert told.startswith("broken_for_test cannot be imported: ")
    assert why in told
    assert "\n" not in told


def test_file_elsewhere_is_named_in_full(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_with(folder, "raise ValueError('no')\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert f"({folder / 'broken_for_test.py'}, line 1)" in why_not("broken_for_test:app", folder)


def test_name_of_a_file_gets_the_name_of_its_module(folder: Path) -> None:
    said = why_not("clinic_for_test/rooms.py:application", folder)
    assert said.endswith("did you mean clinic_for_test.rooms:application?")


def test_name_below_a_module_that_is_no_package_is_refused(folder: Path) -> None:
    module_with(folder, "")
    assert "There is no module broken_for_test.py2" in why_not("broken_for_test.py2:app", folder)

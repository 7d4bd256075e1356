"""The build follows the files that are served, and nothing else."""

from pathlib import Path

from bolide.server.web.build import build_of


def make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "pages" / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "pages"


def test_equal_files_are_one_build(tmp_path: Path) -> None:
    one = make(tmp_path / "1", index="a", js_app="b")
    other = make(tmp_path / "2", js_app="b", index="a")
    assert build_of(one) == build_of(other)
    assert len(build_of(one)) == 16


def test_another_file_is_another_build(tmp_path: Path) -> None:
    builds = {
        build_of(None),
        build_of(make(tmp_path / "1", index="a", js_app="b")),
        build_of(make(tmp_path / "2", index="a", js_app="c")),
        build_of(make(tmp_path / "3", index="a", js_main="b")),
        build_of(make(tmp_path / "4", index="a")),
    }
    assert len(builds) == 5

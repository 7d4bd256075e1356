import pytest

from bolide.core.minimongo.paths import (
    Parts,
    find_conflict,
    is_array,
    is_array_index,
    is_document,
    join,
    split,
)


@pytest.mark.parametrize("path", ["a", "a.b.0.c", "", "a..b", "."])
def test_joining_undoes_splitting(path: str) -> None:
    assert join(split(path)) == path


def test_a_path_is_cut_at_every_dot() -> None:
    assert split("a.0.b") == ("a", "0", "b")
    assert split(".") == ("", "")


@pytest.mark.parametrize("part", ["0", "7", "01", "123"])
def test_digits_are_an_array_index(part: str) -> None:
    assert is_array_index(part)


@pytest.mark.parametrize("part", ["", "a", "-1", "1e3", "1.5", "$", "²", "٣", " 1"])
def test_all_else_is_a_field_name(part: str) -> None:
    assert not is_array_index(part)


@pytest.mark.parametrize(
    ("paths", "conflict"),
    [
        ([], None),
        (["a", "b"], None),
        (["a.b", "a.c", "ab"], None),
        (["a", "a"], ("a", "a")),
        (["a", "a.b"], ("a", "a.b")),
        (["a.b", "a"], ("a", "a.b")),
        (["a.b.c", "a.c", "a.b"], ("a.b", "a.b.c")),
        (["a.b", "a.b.c.d"], ("a.b", "a.b.c.d")),
    ],
)
def test_a_path_conflicts_with_itself_and_with_paths_inside_it(
    paths: list[str], conflict: tuple[str, str] | None
) -> None:
    expected: tuple[Parts, Parts] | None = None
    if conflict is not None:
        expected = split(conflict[0]), split(conflict[1])
    assert find_conflict(map(split, paths)) == expected


def test_paths_go_on_in_documents_and_arrays_only() -> None:
    assert is_document({})
    assert is_array([])
    for value in (None, 1, "text", ("a",)):
        assert not is_document(value)
        assert not is_array(value)

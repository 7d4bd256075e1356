from typing import Any

from bolide.core.minimongo.sorter import Sorter, with_id
from bolide.core.minimongo.window import Window

SORTER = Sorter(with_id([("n", 1)]))


def document(id: Any, n: Any = None) -> dict[str, Any]:
    return {"_id": id, "n": n}


def make_window(
    *ids: str, skip: int = 0, limit: int = 0, buffer: int = 1, capacity: int | None = None
) -> Window:
    """Load documents whose order is that of their ids."""
    window = Window(SORTER, skip=skip, limit=limit, buffer=buffer)
    assert capacity is None or window.capacity == capacity
    window.load([(id, document(id, ord(id))) for id in ids])
    window.take_touched()
    return window


def put(window: Window, id: str, place: str) -> None:
    """Put a document beside the one that ``place`` names, before it."""
    window.put(id, document(id, ord(place) - 0.5))


def published(window: Window) -> str:
    return "".join(sorted(map(str, window.published)))


def test_a_reading_returns_the_skipped_and_the_buffer_too() -> None:
    window = make_window(*"abcd", skip=1, limit=2, buffer=3, capacity=6)
    assert published(window) == "bc"
    assert len(window) == 4
    assert "d" in window
    assert "x" not in window


def test_without_limit_all_is_read_and_nothing_is_cut() -> None:
    window = make_window(*"ab", skip=1, capacity=0)
    for id in "cdefg":
        window.put(id, document(id, ord(id)))
    assert published(window) == "bcdefg"
    window.discard("a")
    window.discard("g")
    assert published(window) == "cdef"
    assert not window.must_be_read


def test_a_new_document_pushes_the_last_one_out() -> None:
    window = make_window(*"ab", limit=2, buffer=2)
    put(window, "x", "a")
    assert published(window) == "ax"
    assert window.take_touched() == ["x", "b"]
    window.discard("x")
    assert published(window) == "ab"
    assert window.take_touched() == ["x", "b"]
    window.discard("x")
    assert window.take_touched() == []


def test_what_comes_before_the_window_moves_it() -> None:
    window = make_window(*"abcd", skip=2, limit=1, buffer=2)
    assert published(window) == "c"
    put(window, "x", "a")
    assert published(window) == "b"
    window.discard("a")
    window.discard("x")
    assert published(window) == "d"


def test_a_skip_that_is_not_filled_publishes_nothing() -> None:
    window = make_window("a", skip=3, limit=1)
    put(window, "b", "b")
    assert published(window) == ""
    window.discard("a")
    window.discard("b")
    assert published(window) == ""
    assert not window.must_be_read


def test_a_document_that_keeps_its_place_is_replaced() -> None:
    window = make_window(*"abc", limit=2, buffer=5)
    for id in "ac":
        changed = {**document(id, ord(id)), "x": 1}
        window.put(id, changed)
        assert window.take_touched() == [id]
    assert window.published["a"] == {"_id": "a", "n": 97, "x": 1}
    window.discard("a")
    assert window.published["c"] == {"_id": "c", "n": 99, "x": 1}


def test_a_window_that_was_read_whole_is_never_short() -> None:
    window = make_window(*"ab", limit=2, buffer=1)
    window.discard("a")
    window.discard("b")
    assert not window.must_be_read


def test_a_buffer_at_its_end_must_be_read() -> None:
    window = make_window(*"abc", limit=2, buffer=1)
    window.discard("a")
    assert published(window) == "bc"
    assert not window.must_be_read
    window.discard("b")
    assert window.must_be_read
    window.load([("c", document("c", 1)), ("z", document("z", 2))])
    assert not window.must_be_read
    assert set(window.take_touched()) == set("abcz")


def test_a_move_within_a_buffer_at_its_end_needs_no_reading() -> None:
    window = make_window(*"abc", limit=2, buffer=1)
    window.discard("a")
    put(window, "c", "b")
    assert not window.must_be_read
    assert published(window) == "bc"


def test_what_lies_beyond_the_boundary_is_not_held() -> None:
    window = make_window(*"abc", limit=2, buffer=1)
    put(window, "x", "z")
    assert "x" not in window
    put(window, "b", "z")
    assert "b" not in window
    assert published(window) == "ac"
    put(window, "c", "z")
    assert window.must_be_read


def test_a_place_before_the_boundary_is_known_even_if_the_last_one_left() -> None:
    window = make_window(*"abc", limit=1, buffer=2)
    window.discard("c")
    put(window, "x", "c")
    assert "x" in window
    window.put("c", document("c", ord("c")))
    assert "c" in window
    assert not window.must_be_read


def test_a_buffer_that_grows_to_twice_its_size_is_cut() -> None:
    window = make_window("z", limit=1, buffer=1)
    put(window, "y", "y")
    put(window, "x", "x")
    assert len(window) == 3
    window.take_touched()
    put(window, "w", "w")
    assert len(window) == 2
    assert set(window.take_touched()) == {"w", "x", "y", "z"}
    put(window, "v", "z")
    assert "v" not in window


def test_of_a_tie_only_a_reading_tells_which_comes_first() -> None:
    window = Window(Sorter([("n", 1)]), limit=2, buffer=1)
    window.load([("a", document("a", 1)), ("b", document("b", 2))])
    window.put("c", document("c", 2))
    assert window.must_be_read


def test_a_tie_with_the_boundary_must_be_read() -> None:
    window = Window(Sorter([("n", 1)]), limit=1, buffer=1)
    window.load([("a", document("a", 1)), ("b", document("b", 2))])
    window.discard("b")
    window.put("c", document("c", 2))
    assert window.must_be_read


def test_an_order_that_is_not_ours_is_read_at_each_change() -> None:
    window = Window(SORTER, limit=2, buffer=1)
    unordered = [("b", document("b", 2)), ("a", document("a", 1))]
    window.load(unordered)
    window.put("b", {**document("b", 2), "x": 1})
    assert not window.must_be_read
    window.discard("b")
    assert window.must_be_read
    window.load(unordered)
    window.put("c", document("c", 0))
    assert window.must_be_read

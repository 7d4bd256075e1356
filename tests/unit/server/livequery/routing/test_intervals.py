from bolide.core.minimongo.predicates import Bound
from bolide.server.livequery.routing.intervals import Intervals


def test_ends_may_be_included_or_not() -> None:
    intervals: Intervals[str] = Intervals()
    intervals.add("[1,3]", Bound(1, True), Bound(3, True))
    intervals.add("(1,3)", Bound(1, False), Bound(3, False))
    intervals.add("(,2]", None, Bound(2, True))
    intervals.add("[2,)", Bound(2, True), None)
    for _ in range(3):  # as new ones, then indexed
        assert set(intervals.find(1, 1)) == {"[1,3]", "(,2]"}
        assert set(intervals.find(2, 2)) == {"[1,3]", "(1,3)", "(,2]", "[2,)"}
        assert set(intervals.find(3, 3)) == {"[1,3]", "[2,)"}
        assert set(intervals.find(0, 9)) == {"[1,3]", "(1,3)", "(,2]", "[2,)"}


def test_removed_intervals_are_not_found() -> None:
    intervals: Intervals[int] = Intervals()
    added = [intervals.add(n, Bound(n, True), Bound(n + 1, True)) for n in range(20)]
    for _ in range(3):
        assert set(intervals.find(5, 5)) == {4, 5}
    intervals.remove(added[4])
    late = intervals.add(99, Bound(5, True), None)
    assert set(intervals.find(5, 5)) == {5, 99}
    intervals.remove(late)
    for _ in range(30):
        assert set(intervals.find(5, 5)) == {5}
    assert len(intervals) == 19


def test_there_may_be_none() -> None:
    intervals: Intervals[int] = Intervals()
    assert list(intervals.find(1, 1)) == []
    intervals.remove(intervals.add(1, None, None))
    assert list(intervals.find(1, 1)) == []
    assert not intervals


def test_a_search_goes_only_where_something_is_found() -> None:
    class Counted(int):
        looked_at = 0

        def __lt__(self, other: object) -> bool:
            Counted.looked_at += 1
            return super().__lt__(other)  # type: ignore[operator]

    intervals: Intervals[int] = Intervals()
    for n in range(1024):
        intervals.add(n, Bound(Counted(n), True), Bound(Counted(n), True))
    for _ in range(2):
        assert list(intervals.find(Counted(500), Counted(500))) == [500]
    Counted.looked_at = 0
    assert list(intervals.find(Counted(500), Counted(500))) == [500]
    assert Counted.looked_at < 100

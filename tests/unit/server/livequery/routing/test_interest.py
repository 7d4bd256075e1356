import pytest

from bolide.core.minimongo.projection import Projection
from bolide.server.livequery.routing.interest import Paths, as_changed, interest_in


@pytest.mark.parametrize(
    ("asked", "changed", "is_seen"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "ab", False),
        ("a.b", "a", True),
        ("a", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b.c", "a.b", True),
        ("a.b", "a.0.b", True),
        ("a.1.b", "a.b", True),
        ("a.0", "a.1", True),
        ("a.1.b", "a.0.1.b", True),
        ("a.1.b", "a.0.c", False),
        ("1", "1", True),
    ],
)
def test_a_change_is_seen_where_one_path_leads_to_the_other(
    asked: str, changed: str, is_seen: bool
) -> None:
    paths = Paths()
    paths.add(as_changed([asked, "z"]))
    assert paths.see(as_changed(["y", changed])) is is_seen
    paths.add(as_changed([asked]))
    paths.remove(as_changed([asked]))
    assert paths.see(as_changed([changed])) is is_seen
    paths.remove(as_changed([asked, "z"]))
    assert not paths.see(as_changed([changed, "z"]))
    in_result = interest_in(["z"], Projection({asked: 1}))
    assert in_result.is_in(as_changed([changed])) is is_seen
    assert in_result.is_in(as_changed(["z.1"]))


@pytest.mark.parametrize("projection", [None, {}, {"b": 0}])
def test_who_shows_all_sees_all(projection: dict[str, int] | None) -> None:
    assert interest_in(["a"], Projection(projection)).is_in(as_changed(["b"]))

"""Who is there, counted in own beats."""

from bolide.server.broadcast.neighbours import MISSED_BEATS, Neighbours


def test_a_node_is_new_once() -> None:
    neighbours = Neighbours()
    assert neighbours.heard("a")
    assert not neighbours.heard("a")
    assert neighbours.heard("b")
    assert neighbours.ids == ["a", "b"]
    neighbours.left("a")
    neighbours.left("a")
    assert len(neighbours) == 1
    assert neighbours.heard("a")


def test_a_node_is_gone_when_it_wrote_nothing_for_some_own_beats() -> None:
    neighbours = Neighbours()
    neighbours.heard("silent")
    neighbours.heard("alive")
    for _ in range(MISSED_BEATS - 1):
        assert neighbours.own_beat_came() == []
    neighbours.heard("alive")
    assert neighbours.own_beat_came() == ["silent"]
    assert neighbours.ids == ["alive"]

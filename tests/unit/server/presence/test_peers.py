"""What other nodes tell of their members, and what becomes of it."""

import pytest

from bolide.server.presence.member import Member, ids_of, members_of, written
from bolide.server.presence.peers import MISSED_ROUNDS, Difference, Peers


def member(id: str, info: object = None) -> Member:
    return Member(id, ("online", "7"), "ann", info)


A, B, C = member("a"), member("b"), member("c")
NOTHING = Difference()


def known() -> Peers:
    """Know one node with a and b, at version 2."""
    peers = Peers()
    assert peers.changed("n", 2, 2, [A, B], []) == Difference([A, B], [])
    return peers


def test_changes_in_order_are_applied() -> None:
    peers = known()
    assert peers.changed("n", 3, 2, [C], ["a", "unknown"]) == Difference([C], ["a"])
    assert peers.unknown == set()
    assert len(peers) == 1


def test_who_is_not_known_is_asked_unless_all_its_members_are_told() -> None:
    peers = Peers()
    assert peers.changed("n", 5, 2, [A], []) == NOTHING
    assert peers.unknown == {"n"}
    assert peers.changed("m", 9, 1, [A], ["x"]) == Difference([A], [])
    assert len(peers) == 1


def test_a_version_that_was_missed_is_asked_for_and_an_old_one_ignored() -> None:
    peers = known()
    assert peers.changed("n", 2, 3, [C], []) == NOTHING
    assert peers.unknown == set()
    assert peers.changed("n", 4, 3, [C], []) == NOTHING
    assert peers.unknown == {"n"}


def test_a_beat_of_another_version_is_asked_for() -> None:
    peers = known()
    peers.beat("n", 2)
    assert peers.unknown == set()
    peers.beat("n", 3)
    peers.beat("new", 1)
    assert peers.unknown == {"n", "new"}


def test_a_list_replaces_what_was_known() -> None:
    peers = known()
    peers.beat("n", 7)
    changed_b = member("b", {"role": "nurse"})
    assert peers.listed("n", 7, 0, 2, [changed_b]) == NOTHING
    assert peers.listed("n", 7, 1, 2, [C]) == Difference([changed_b, C], ["a"])
    assert peers.unknown == set()
    assert peers.changed("n", 8, 1, [], ["b"]) == Difference([], ["b"])


def test_a_list_with_a_hole_is_asked_for_again() -> None:
    peers = known()
    assert peers.listed("n", 7, 1, 2, [C]) == NOTHING
    assert peers.unknown == {"n"}
    peers = known()
    peers.listed("n", 7, 0, 3, [A])
    assert peers.listed("n", 8, 1, 3, [C]) == NOTHING
    assert peers.unknown == {"n"}


def test_a_silent_node_is_gone_with_its_members() -> None:
    peers = known()
    peers.changed("alive", 1, 1, [C], [])
    for _ in range(MISSED_ROUNDS - 1):
        assert not peers.end_round().left
        peers.beat("alive", 1)
    assert peers.end_round().left == ["a", "b"]
    assert len(peers) == 1


def test_members_go_from_node_to_node_as_values() -> None:
    one = member("a", {"role": "nurse"})
    assert members_of([written(one)]) == [one]
    assert ids_of(["a"]) == ["a"]


@pytest.mark.parametrize("value", [7, [["a", "online", "7", 3, None]], [["a"]]])
def test_what_is_no_list_of_members_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no "):
        members_of(value)
    with pytest.raises(ValueError, match="no list"):
        ids_of(7)

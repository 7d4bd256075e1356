"""Chunks are bounded, depend on the set alone, and alter one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.server.publications.joins.partition import Partition, Place

KEYS = st.lists(st.text(max_size=3), max_size=60)


def filled(keys: list[str], most: int = 4) -> Partition:
    partition = Partition(most)
    for key in dict.fromkeys(keys):
        partition.add(key, key.upper())
    return partition


def shape(partition: Partition) -> dict[Place, set[object]]:
    return {place: set(chunk) for place, chunk in partition.chunks.items() if chunk}


def test_a_small_set_is_one_chunk() -> None:
    partition = filled(["a", "b", "c"])
    assert partition.chunks == {(0, 0): {"a": "A", "b": "B", "c": "C"}}
    assert len(partition) == 3


@given(KEYS)
def test_no_chunk_is_larger_than_the_bound_and_nothing_is_lost(keys: list[str]) -> None:
    partition = filled(keys)
    chunks = partition.chunks.values()
    assert all(len(chunk) <= 4 for chunk in chunks)
    merged = {key: value for chunk in chunks for key, value in chunk.items()}
    assert merged == {key: key.upper() for key in keys}
    assert len(partition) == len(set(keys))


@given(KEYS, KEYS)
def test_the_chunks_depend_on_the_set_and_not_on_its_history(
    stay: list[str], leave: list[str]
) -> None:
    other = filled([*leave, *stay])
    for key in set(leave) - set(stay):
        other.remove(key)
    assert shape(other) == shape(filled(stay[::-1]))


@given(KEYS.filter(bool))
def test_one_value_alters_one_chunk_or_those_it_cuts_or_joins(keys: list[str]) -> None:
    partition = filled(keys)
    before = shape(partition)
    partition.take_altered()
    key = keys[0]
    partition.remove(key)
    told = partition.take_altered()
    after = shape(partition)
    assert {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)} <= set(told)
    assert sum(map(len, told.values())) <= 4
    partition.add(key, key.upper())
    assert sum(map(len, partition.take_altered().values())) <= 5
    assert shape(partition) == before
    assert partition.take_altered() == {}


class Alike:
    """A key whose hash says nothing."""

    def __hash__(self) -> int:
        return -1


def test_values_that_cannot_be_told_apart_stay_together() -> None:
    partition = Partition(2)
    keys = [Alike(), Alike(), Alike()]
    for key in keys:
        partition.add(key, None)
    assert max(map(len, partition.chunks.values())) == 3
    for key in keys:
        partition.remove(key)
    assert partition.chunks == {(0, 0): {}}


def test_removing_what_is_not_there_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Partition(2).remove("a")

"""Groups: wants are counted, queries planned, parents kept while a source holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bolide.core.keys import key_of
from bolide.server.access.gateway import Gateway
from bolide.server.collections.collection import Collection
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.publications.joins.group import Group, Link, Source
from bolide.server.publications.joins.parent_view import ParentView
from bolide.server.publications.joins.wanted import ONCE, Wanted, read_wanted
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.memory import MemoryStore
from bolide.server.turn import Turn

PATIENTS = Collection(Gateway(), "patients")


class Log:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Source, Any]] = []

    def source_changed(self, source: Source, changes: Sequence[ViewChange]) -> None:
        self.told.append((source, list(changes)))

    def source_failed(self, source: Source, error: Exception) -> None:
        self.told.append((source, error))


@pytest.fixture
def log() -> Log:
    return Log()


def child(parent: Mapping[str, Any]) -> None:
    return None


def want(*wards: str, children: Sequence[Any] = ()) -> Wanted:
    selector = {"ward": {"$in": list(wards)}}
    return read_wanted(PATIENTS.find(selector, children=list(children)), {})


def make_group(wanted: Wanted, siblings: dict[Any, Group] | None = None) -> Group:
    return Group(wanted, 1, 2, {} if siblings is None else siblings)


def keys(source: Source) -> set[Any]:
    return set(source.chunk)


def added(id: str, **fields: Any) -> ViewChange:
    return ViewChange.added("patients", id, fields)


def test_queries_are_planned_for_what_is_wanted_by_anybody(log: Log) -> None:
    group = make_group(want("a"))
    group.want(want("a").values)
    group.want(want("a", "b").values)
    (source,), ended = group.plan(log)
    assert (keys(source), ended) == ({"a", "b"}, [])
    assert sorted(source.query.selector["ward"]["$in"]) == ["a", "b"]
    group.release(want("a").values)
    assert group.plan(log) == ([], [])
    group.release(want("a", "b").values)
    assert group.plan(log) == ([], [source])


def test_a_want_that_came_back_keeps_its_query(log: Log) -> None:
    group = make_group(want("a"))
    group.want(want("a").values)
    group.plan(log)
    group.release(want("a").values)
    group.want(want("a").values)
    assert group.plan(log) == ([], [])


def test_only_the_chunks_that_were_altered_are_planned_anew(log: Log) -> None:
    group = make_group(want("a"))
    names = [f"ward {number}" for number in range(20)]
    group.want(want(*names).values)
    opened, _ = group.plan(log)
    assert all(len(source.chunk) <= 2 for source in opened)
    group.release(want(names[0]).values)
    new, old = group.plan(log)
    assert any(names[0] in source.chunk for source in old)
    assert sum(len(source.chunk) for source in new) <= 2
    assert len(old) <= 2


def test_a_group_without_a_query_leaves_its_siblings(log: Log) -> None:
    siblings: dict[Any, Group] = {}
    group = make_group(want("a"), siblings)
    assert siblings == {group.wanted.key: group}
    group.want(want("a").values)
    group.plan(log)
    group.release(want("a").values)
    group.plan(log)
    assert siblings == {}
    other = make_group(want("b"), siblings)
    group.plan(log)
    assert siblings == {group.wanted.key: other}


def test_what_cannot_be_merged_is_wanted_or_not(log: Log) -> None:
    wanted = read_wanted(PATIENTS.find({"ward": "a"}, limit=1), {})
    group = make_group(wanted)
    group.want(ONCE)
    group.want(ONCE)
    (source,), _ = group.plan(log)
    assert source.query is wanted.query
    group.release(ONCE)
    assert group.plan(log) == ([], [])
    group.release(ONCE)
    assert group.plan(log) == ([], [source])


def test_documents_without_children_are_not_kept(log: Log) -> None:
    group = make_group(want("a"))
    source = Source(log, group, group.wanted.query, {})
    group.take(source, [added("p1")])
    assert (group.parents, group.stale, source.parents) == ({}, {}, set())


def test_a_parent_is_kept_while_one_source_holds_it(log: Log) -> None:
    group = make_group(want("a", children=[child]))
    one, two = (Source(log, group, group.wanted.query, {}) for _ in range(2))
    group.take(one, [added("p1"), added("p2")])
    group.take(two, [added("p1")])
    assert list(group.stale) == ["p1", "p2"]
    group.stale.clear()
    group.forget(one)
    assert list(group.stale) == ["p2"]
    assert group.parents["p1"].sources == {two}
    group.take(two, [ViewChange.removed("patients", "p1", {})])
    assert (list(group.stale), two.parents) == (["p2", "p1"], set())


def test_a_parent_is_stale_if_what_was_read_changed(log: Log) -> None:
    group = make_group(want("a", children=[child]))
    source = Source(log, group, group.wanted.query, {})
    group.take(source, [added("p1", ward="a", bed=1)])
    parent = group.parents["p1"]
    view = ParentView("p1", parent.fields, group.shown)
    assert view["ward"] == "a"
    parent.links = [Link(view, None, {})]
    group.stale.clear()
    moved = {"ward": "a", "bed": 2}
    group.take(source, [ViewChange.changed("patients", "p1", {"bed": 2}, {}, moved)])
    assert not group.stale
    assert view["bed"] == 2
    group.take(
        source, [ViewChange.changed("patients", "p1", {"bed": 3}, moved, {"bed": 3, "ward": "a"})]
    )
    assert list(group.stale) == ["p1"]


def test_each_child_function_has_its_own_groups_below() -> None:
    group = make_group(want("a", children=[child, child]))
    below = Group(want("b"), 2, 2, group.below(1))
    assert (group.below(0), group.below(1)) == ({}, {below.wanted.key: below})


async def test_a_source_that_ended_says_nothing(log: Log) -> None:
    group = make_group(want("a"))
    source = Source(log, group, group.wanted.query, {})
    change, error = added("p1"), RuntimeError()
    source.view_changed([change])
    source.view_failed(error)
    assert log.told == [(source, [change]), (source, error)]
    store = MemoryStore()
    await store.open()
    live_queries = LiveQueries(store, Turn())
    source.following = await live_queries.follow(group.wanted.query, source)
    source.end()
    source.end()
    assert len(live_queries) == 0
    source.view_changed([change])
    source.view_failed(error)
    assert len(log.told) == 2
    live_queries.close()
    await store.close()


def test_values_are_compared_by_their_keys(log: Log) -> None:
    wanted = read_wanted(PATIENTS.find({"bed": 1}), {})
    same = read_wanted(PATIENTS.find({"bed": 1.0}), {})
    group = make_group(wanted)
    group.want(wanted.values)
    group.want(same.values)
    group.release(wanted.values)
    (source,), _ = group.plan(log)
    assert keys(source) == {key_of(1)}

from typing import Any

import pytest

from bolide.core.ddp.digests import view_digest
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.values import UNDEFINED, ObjectId
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.mergebox import MergeBox, NotAdded
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import ViewChange

MERGE = PublicationStrategy.SERVER_MERGE
IDS = PublicationStrategy.NO_MERGE
FORGET = PublicationStrategy.NO_MERGE_NO_HISTORY
MULTI = PublicationStrategy.NO_MERGE_MULTI


def make_box(strategy: PublicationStrategy = MERGE) -> MergeBox:
    return MergeBox(lambda _: strategy)


def added(id: Any = "1", **fields: Any) -> ViewChange:
    return ViewChange.added("c", id, fields)


def changed(after: dict[str, Any], **changes: Any) -> ViewChange:
    return ViewChange.changed("c", "1", changes, {}, after)


def removed() -> ViewChange:
    return ViewChange.removed("c", "1", {})


def test_a_document_of_one_subscription_passes_unaltered() -> None:
    box = make_box()
    steps = [added(x=1), changed({"x": 2, "y": 3}, x=2, y=3), removed()]
    assert [box.apply("A", step) for step in steps] == [step.message for step in steps]
    assert all(a is b for a, b in zip(steps, steps, strict=True))


def test_a_shared_document_is_kept_by_reference() -> None:
    box = make_box()
    change = added(x=[1])
    box.apply("A", change)
    assert box.snapshot()["c"]["1"][1] is change.fields


def test_the_first_subscription_decides_what_is_seen() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    assert box.apply("B", added(x=2, y=3)) == Changed("c", "1", {"y": 3})
    assert box.changed("B", "c", "1", {"x": 5}) is None
    assert box.apply("A", removed()) == Changed("c", "1", {"x": 5})
    assert box.apply("B", removed()) == Removed("c", "1")


def test_a_field_that_is_cleared_shows_the_next_claim() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    box.apply("B", added(x=2))
    assert box.changed("A", "c", "1", {"x": UNDEFINED}) == Changed("c", "1", {"x": 2})
    assert box.changed("B", "c", "1", {"x": UNDEFINED}) == Changed("c", "1", {}, ("x",))
    assert box.changed("B", "c", "1", {"x": UNDEFINED}) is None


def test_equal_values_cause_no_message() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    assert box.changed("A", "c", "1", {"x": 1.0}) is None
    assert box.changed("A", "c", "1", {"y": UNDEFINED}) is None
    assert box.changed("A", "c", "1", {"x": True}) == Changed("c", "1", {"x": True})


def test_a_change_that_is_partly_known_is_cut() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    message = box.apply("A", changed({"x": 1, "y": 2}, x=1, y=2))
    assert message == Changed("c", "1", {"y": 2})


def test_a_change_seen_differently_is_altered() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    box.apply("B", added(x=2))
    # The same number of fields, another value: the client has to see B's.
    assert box.apply("A", changed({}, x=UNDEFINED)) == Changed("c", "1", {"x": 2})


def test_a_change_by_a_subscription_that_never_added_waits_behind() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    assert box.changed("B", "c", "1", {"y": 1}) == Changed("c", "1", {"y": 1})


def test_a_change_of_what_only_others_added_leaves_with_its_subscription() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    box.changed("B", "c", "1", {"x": 2, "y": 1})
    assert box.collections_of("B") == ["c"]
    assert list(box.stop("B")) == [Changed("c", "1", {}, ("y",))]
    assert box.apply("A", changed({"x": 3}, x=3)) == Changed("c", "1", {"x": 3})
    assert list(box.stop("A")) == [Removed("c", "1")]


def test_a_change_of_what_only_others_added_keeps_no_document() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    box.changed("B", "c", "1", {"y": 1})
    assert list(box.stop("A")) == [Removed("c", "1")]
    assert list(box.stop("B")) == []


def test_removing_what_another_subscription_holds_changes_nothing() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    assert box.apply("B", removed()) is None
    assert box.document_count == 1


def test_ids_of_other_types_are_told_apart() -> None:
    box = make_box()
    for id in ("1", 1, True, ObjectId("0" * 24), "0" * 24, {"a": 1}, None):
        assert isinstance(box.apply("A", added(id)), Added)
    assert box.document_count == 7
    assert len(list(box.stop("A"))) == 7
    assert box.document_count == 0


def test_a_stop_takes_back_what_only_this_subscription_held() -> None:
    box = make_box()
    box.apply("A", added(x=1))
    box.apply("A", added("2", x=1))
    box.apply("B", added(x=2))
    assert list(box.stop("A")) == [Changed("c", "1", {"x": 2}), Removed("c", "2")]
    assert list(box.stop("A")) == []


@pytest.mark.parametrize("strategy", [MERGE, MULTI])
def test_what_was_never_added_cannot_change_or_go(strategy: PublicationStrategy) -> None:
    box = make_box(strategy)
    with pytest.raises(NotAdded, match=r"changed a document .* ctx\.added first"):
        box.changed("A", "c", "1", {"x": 1})
    with pytest.raises(NotAdded, match="removed a document "):
        box.apply("A", removed())


def test_no_merge_sends_everything_and_removes_at_the_end() -> None:
    box = make_box(IDS)
    assert isinstance(box.apply("A", added(x=1)), Added)
    assert isinstance(box.apply("B", added(x=1)), Added)
    assert box.changed("A", "c", "1", {"x": 1}) == Changed("c", "1", {"x": 1})
    assert list(box.stop("A")) == [Removed("c", "1")]


def test_no_history_is_sent_and_forgotten() -> None:
    box = make_box(FORGET)
    assert isinstance(box.apply("A", added(x=1)), Added)
    assert box.changed("A", "c", "1", {}) is None
    assert list(box.stop("A")) == []


def test_multi_counts_users_and_compares_nothing() -> None:
    box = make_box(MULTI)
    assert isinstance(box.apply("A", added(x=1)), Added)
    assert box.apply("B", added(x=1)) == Changed("c", "1", {"x": 1})
    assert box.changed("A", "c", "1", {"x": 1}) == Changed("c", "1", {"x": 1})
    assert box.apply("A", removed()) is None
    assert box.apply("B", removed()) == Removed("c", "1")


def test_the_difference_of_two_users_is_what_is_sent() -> None:
    box = make_box()
    for id in ("same", "other", "gone"):
        box.apply("A", added(id, x=1, y=1))
    before = box.snapshot()
    assert box.forget_merged() == []
    box.apply("B", added("same", x=1, y=1))
    box.apply("B", added("other", x=2))
    box.apply("B", added("new", x=1))
    assert list(box.difference(before)) == [
        (Removed("c", "gone"), {"x": 1, "y": 1}),
        (Changed("c", "other", {"x": 2}, ("y",)), {"x": 1, "y": 1}),
        (Added("c", "new", {"x": 1}), {}),
    ]


def test_what_cannot_be_compared_is_removed_when_the_user_changes() -> None:
    box = make_box(IDS)
    box.apply("A", added(x=1))
    assert box.forget_merged() == [Removed("c", "1")]
    assert box.document_count == 0


def test_only_merged_collections_are_kept() -> None:
    assert make_box().is_merged("c")
    assert not make_box(FORGET).is_merged("c")


def test_a_packet_is_made_once() -> None:
    change = added(x=1)
    assert change.packet(Wire(PLAIN)) is change.packet(Wire(PLAIN))
    assert change.packet(Wire(PLAIN, bolide=True)) == change.packet(Wire(PLAIN))


def test_a_document_added_twice_leaves_with_its_subscription() -> None:
    box = make_box()
    box.apply("A", added(x=1, y=1))
    box.apply("A", added(x=2, y=2))
    box.apply("B", added(x=3))
    assert list(box.stop("A")) == [Changed("c", "1", {"x": 3}, ("y",))]
    assert list(box.stop("B")) == [Removed("c", "1")]


def test_a_collection_that_nobody_published_has_a_digest_and_is_not_kept() -> None:
    asked: list[str] = []

    def strategy_of(name: str) -> PublicationStrategy:
        asked.append(name)
        return MERGE

    box = MergeBox(strategy_of)
    assert box.digest("made up") == view_digest({})
    assert asked == []

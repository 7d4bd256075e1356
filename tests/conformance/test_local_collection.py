"""The SDK's local collection, observed in order: random writes, answered by the real Meteor."""

from itertools import pairwise

import pytest
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.observed import (
    Observed,
    fields_of,
    replay_meteors,
    same,
    write,
)
from tests.conformance.rows import Row, for_each, load, passing

from bolide.client.collections.observer import Selection
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import equals

ROWS = [row for row in load("fuzz_observe") if row.raw["ordered"]]

# Refuted rows whose documents are Meteor's, but for the order of those with equal sort keys.
TIES = {"fuzz_observe:40", "fuzz_observe:62", "fuzz_observe:169", "fuzz_observe:217"}


@for_each(ROWS)
def test_replayed_changes_show_what_meteors_observer_shows(row: Row) -> None:
    observed = Observed(row)
    observed.read()
    replay_meteors(observed.meteors, row["expect"]["initial"])
    assert observed.ours == observed.meteors
    with passing(row):
        for step, callbacks in zip(row["steps"], row["expect"]["steps"], strict=True):
            write(observed.collection, step)
            changes = observed.read()
            replay_meteors(observed.meteors, callbacks)
            assert same(observed.ours, observed.meteors)
            assert callbacks or not changes


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_replayed_changes_show_what_fetch_finds(row: Row) -> None:
    observed = Observed(row)
    for step in [None, *row["steps"]]:
        if step is not None:
            write(observed.collection, step)
        observed.read()
        found = observed.collection.fetch(observed.selection)
        assert [fields for _, fields in observed.ours] == [
            fields_of(document) for document in found
        ]


@pytest.mark.parametrize("row", [row for row in ROWS if str(row) in TIES], ids=str)
def test_ties_are_shown_in_an_order_that_is_right_too(row: Row) -> None:
    assert row.key in REFUTED_BY_MONGOD
    observed = Observed(row)
    sorter = Sorter(row["options"]["sort"])
    for step, callbacks in zip(
        [None, *row["steps"]], [row["expect"]["initial"], *row["expect"]["steps"]], strict=True
    ):
        if step is not None:
            write(observed.collection, step)
        observed.read()
        replay_meteors(observed.meteors, callbacks)
        for shown in (observed.ours, observed.meteors):
            documents = [observed.collection.fetch(Selection(id))[0] for id, _ in shown]
            assert all(sorter.compare(a, b) <= 0 for a, b in pairwise(documents))
        assert equals(dict(observed.ours), dict(observed.meteors))

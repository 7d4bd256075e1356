from bench.figures.surroundings import Surroundings
from bench.soak import ITEMS, evidence_line

SURROUNDINGS = Surroundings(date="2026-11-26", commit="abc1234", machine="", load=0.0)


def test_an_item_that_held_gives_a_row_of_the_evidence_table() -> None:
    [counters] = [item for item in ITEMS if item.name == "counters"]
    assert evidence_line(counters, SURROUNDINGS, 754.2) == (
        "| Four processes on one SQLite file with 4 writers each lose none of 100,000 updates"
        " | `scripts/soak counters`: `BOLIDE_TESTS_COUNTER_UPDATES=100000 pytest"
        " tests/integration/sqlite -k counter` | held, in 12 min 34 s | 2026-11-26 | abc1234 |"
    )


def test_items_have_names_of_their_own_and_known_variables() -> None:
    assert len({item.name for item in ITEMS}) == len(ITEMS)
    assert all(item.variable.startswith("BOLIDE_TESTS_") for item in ITEMS)

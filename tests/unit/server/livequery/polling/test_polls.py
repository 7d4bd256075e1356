from bolide.server.livequery.polling.polls import Polled
from bolide.server.stores.base import Position


class Query:
    def __init__(self) -> None:
        self.polls: list[str] = []

    def poll(self, because: str) -> None:
        self.polls.append(because)

    def joined_changed(self, collection: str, position: Position) -> None: ...


def test_a_query_is_found_by_each_collection_that_it_reads() -> None:
    polled, one, two = Polled(), Query(), Query()
    polled.add(one, ["a", "b"])
    polled.add(one, ["b"])
    polled.add(two, ["b"])
    assert polled.reading("a") == (one,)
    assert polled.reading("b") == (one, two)
    assert polled.reading("c") == ()


def test_a_query_that_is_removed_is_found_no_more() -> None:
    polled, one, two = Polled(), Query(), Query()
    polled.add(one, ["a", "b"])
    polled.add(two, ["b"])
    polled.remove(one, ["a", "b"])
    polled.remove(one, ["a"])
    assert polled.reading("a") == ()
    assert polled.reading("b") == (two,)

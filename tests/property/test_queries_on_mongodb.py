"""Random queries on a real MongoDB find there what the matcher, which follows them, matches."""

from collections.abc import Callable
from typing import Any, Final

import bson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from tests.property.test_selectors import (
    DOCUMENTS,
    NAMES,
    OPERATORS,
    PATHS,
    SCALARS,
    SORTS,
    VALUES,
    combined,
    containers,
)

from bolide.core.bson_codec import BSON_CODEC_OPTIONS
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter, with_id
from bolide.core.values import Decimal128, Document, Regex
from bolide.server.stores.mongo.reading.queries import server_selector

TEXTS: Final = st.text("abiIK\u0130\u0131-\n\r \xa0\u2028\u212a", max_size=4)
NUMBERS: Final = st.sampled_from(
    [2**31, -(2**40), 2**53 + 1, 0.1, 1e19, Decimal128("1.50"), Decimal128("NaN")]
)
ITEMS: Final = st.recursive(SCALARS | TEXTS | NUMBERS, containers, max_leaves=6)
PIECES: Final = st.sampled_from(
    [
        *"abiIk.^$|-",
        r"\b", r"\B", r"\d", r"\w", r"\s", r"\S", r"\W", "[a-i]", "[^a-i]", r"[\w-]", r"[^\s]",
        "[\u0130\u0131i]", "(a|b)", "(?=a)", "(?!b)", "(?<=a)", "a{2}", "{", "}", "]", "a*", "b+?",
        r"\u0069", r"\x2e",
    ]
)  # fmt: skip
PATTERNS: Final = st.lists(PIECES, min_size=1, max_size=5).map("".join)
REGEXES: Final = st.builds(Regex, PATTERNS, st.sampled_from(["", "i", "m", "im"]))
MORE_OPERATORS: Final = st.one_of(
    OPERATORS,
    st.dictionaries(
        st.sampled_from(["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"]), ITEMS, min_size=1
    ),
    st.fixed_dictionaries({"$in": st.lists(ITEMS | REGEXES, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(ITEMS | REGEXES, max_size=3)}),
    st.fixed_dictionaries({"$regex": PATTERNS, "$options": st.sampled_from(["", "i", "m"])}),
    st.fixed_dictionaries({"$mod": st.tuples(st.integers(1, 3), st.integers(-2, 2)).map(list)}),
    st.dictionaries(
        st.sampled_from(["$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear"]),
        st.integers(0, 7),
        min_size=1,
        max_size=1,
    ),
    st.fixed_dictionaries(
        {"$elemMatch": st.dictionaries(st.sampled_from(["$lt", "$gte"]), ITEMS, min_size=1)}
    ),
)
# ``$type`` of arrays and fractions is asked of the server each time.
ASKED_HERE: Final = MORE_OPERATORS.filter(lambda operators: operators.get("$type") != "array")
CONDITIONS: Final = (
    VALUES | ITEMS | REGEXES | ASKED_HERE | st.fixed_dictionaries({"$not": ASKED_HERE | REGEXES})
)
SELECTORS: Final = st.recursive(
    st.dictionaries(PATHS, CONDITIONS, min_size=1, max_size=2), combined, max_leaves=3
)
PROJECTIONS: Final = st.sampled_from([1, 0]).flatmap(
    lambda shown: st.dictionaries(PATHS, st.just(shown), min_size=1, max_size=2)
)
BODIES: Final = st.lists(DOCUMENTS | st.dictionaries(NAMES, ITEMS, max_size=4), max_size=20)


def examples(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


class Asked:
    """A collection, and the documents that it holds."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self.documents: list[Document] = []

    def hold(self, bodies: list[dict[str, Any]]) -> None:
        self._collection.delete_many({})
        if bodies:
            self._collection.insert_many({"_id": n, **body} for n, body in enumerate(bodies))
        self.documents = list(self._collection.find(sort={"_id": 1}))

    def ids(self, selector: dict[str, Any], **options: Any) -> list[int]:
        found = self._collection.find(server_selector(selector), {"_id": 1}, **options)
        return [document["_id"] for document in found]

    def projected(self, projection: dict[str, Any]) -> list[Document]:
        return list(self._collection.find({}, projection, sort={"_id": 1}))


def ask(url: str, check: Callable[[Asked], None]) -> None:
    with MongoClient[Document](url) as client:
        database = client.get_default_database(codec_options=BSON_CODEC_OPTIONS)
        check(Asked(database["things"]))


def test_selectors_find_what_matches(new_database: Callable[[], str]) -> None:
    compared = 0

    def check(asked: Asked) -> None:
        @examples(150)
        @given(BODIES, st.lists(SELECTORS, min_size=8, max_size=8))
        def compare(bodies: list[dict[str, Any]], selectors: list[dict[str, Any]]) -> None:
            nonlocal compared
            asked.hold(bodies)
            for selector in selectors:
                try:
                    matcher = Matcher(selector)
                    found = asked.ids(selector, sort={"_id": 1})
                except (MinimongoError, OperationFailure):
                    continue
                compared += 1
                assert found == [d["_id"] for d in asked.documents if matcher.matches(d)], selector

        compare()

    ask(new_database(), check)
    assert compared > 600


def test_sorts_have_one_order(new_database: Callable[[], str]) -> None:
    def check(asked: Asked) -> None:
        @examples(60)
        @given(BODIES, st.lists(SORTS, min_size=5, max_size=5))
        def compare(bodies: list[dict[str, Any]], sorts: list[dict[str, int]]) -> None:
            asked.hold(bodies)
            for sort in sorts:
                keys = with_id(tuple(sort.items()))
                try:
                    found = asked.ids({}, sort=dict(keys))
                    mine = run_query(asked.documents, matcher=Matcher({}), sorter=Sorter(keys))
                except (MinimongoError, OperationFailure):
                    continue  # by two arrays at once
                assert [document["_id"] for document in mine] == found, sort

        compare()

    ask(new_database(), check)


def test_projections_show_the_same(new_database: Callable[[], str]) -> None:
    def check(asked: Asked) -> None:
        @examples(60)
        @given(BODIES, st.lists(PROJECTIONS, min_size=5, max_size=5))
        def compare(bodies: list[dict[str, Any]], projections: list[dict[str, Any]]) -> None:
            asked.hold(bodies)
            for projection in projections:
                try:
                    mine = map(Projection(projection).apply, asked.documents)
                    shown = asked.projected(projection)
                except (MinimongoError, OperationFailure):
                    continue  # a path inside another one
                for one, other in zip(mine, shown, strict=True):
                    assert bson.encode(one) == bson.encode(other), projection

        compare()

    ask(new_database(), check)

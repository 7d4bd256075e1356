"""Indexes change how documents are found, and never which ones, nor their order."""

from typing import Any, Final, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure
from tests.property.test_selectors import DOCUMENTS as ANY_DOCUMENTS
from tests.property.test_selectors import SCALARS as ANY_SCALARS
from tests.property.test_selectors import SELECTORS, SORTS

from bolide.core.keys import key_of
from bolide.core.minimongo.matcher import Matcher
from bolide.core.values import Document
from bolide.server.stores.base import Delete, IndexSpec, Insert, Query, Update, WriteOperation
from bolide.server.stores.embedded.bounds import bounds_of
from bolide.server.stores.embedded.database import Database, Readable
from bolide.server.stores.embedded.errors import (
    CANNOT_INDEX_PARALLEL_ARRAYS,
    INDEX_OPTIONS_CONFLICT,
)
from bolide.server.stores.embedded.lookup_index import LookupIndex, can_answer
from bolide.server.stores.embedded.operations import Work, compile_operation
from bolide.server.stores.embedded.queries import compile_query
from bolide.server.stores.embedded.workspace import Workspace

IDS: Final = st.integers(0, 5)
# Few paths and values, so that selectors, documents and indexes meet.
PATHS: Final = st.sampled_from(["a", "b", "a.b", "a.0"])
FEW: Final[st.SearchStrategy[Any]] = st.sampled_from([0, 1, 1.0, 2, "x", None])
SCALARS: Final = FEW | FEW | ANY_SCALARS
FIELDS: Final[st.SearchStrategy[Any]] = st.one_of(
    FEW, FEW, st.lists(FEW, max_size=2), st.dictionaries(st.just("b"), FEW),
    st.lists(st.dictionaries(st.just("b"), FEW), max_size=2),
)  # fmt: skip
DOCUMENTS: Final = st.dictionaries(st.sampled_from("ab"), FIELDS, max_size=2) | ANY_DOCUMENTS
BOUNDS: Final = st.one_of(
    SCALARS,
    st.fixed_dictionaries({"$eq": SCALARS}),
    st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=3)}),
    st.dictionaries(
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), SCALARS, min_size=1, max_size=3
    ),
)
BOUNDED: Final = st.dictionaries(PATHS, BOUNDS, min_size=1, max_size=3)
ASKED: Final = st.one_of(
    BOUNDED,
    st.fixed_dictionaries({"$and": st.lists(BOUNDED, min_size=1, max_size=2)}),
    SELECTORS,
)
Step: TypeAlias = WriteOperation | IndexSpec | str | Query


def spec_of(paths: list[str], sparse: bool) -> IndexSpec:
    keys = tuple((path, 1) for path in paths)
    return IndexSpec(keys=keys, name="_".join(paths), sparse=sparse)


def set_path(path: str, value: Any) -> Document:
    return {"$set": {path: value}}


def unset_path(path: str) -> Document:
    return {"$unset": {path: 1}}


def push_to_path(path: str, value: Any) -> Document:
    return {"$push": {path: value}}


def by_id(id: int) -> Document:
    return {"_id": id}


def insert_of(id: int, document: Document) -> Insert:
    return Insert(collection="c", documents=[{"_id": id, **document}])


def update_of(selector: Document, modifier: Document, many: bool) -> Update:
    # Only a modifier can change many.
    many = many and any(name.startswith("$") for name in modifier)
    return Update(collection="c", selector=selector, modifier=modifier, many=many)


def delete_of(selector: Document, many: bool) -> Delete:
    return Delete(collection="c", selector=selector, many=many)


def query_of(selector: Document, sort: dict[str, int], skip: int, limit: int) -> Query:
    return Query(
        collection="c", selector=selector, sort=tuple(sort.items()), skip=skip, limit=limit
    )


SPECS: Final = st.builds(
    spec_of, st.lists(PATHS, min_size=1, max_size=3, unique=True), st.booleans()
)
NO_SORT: Final[dict[str, int]] = {}
CHOSEN: Final = st.builds(by_id, IDS) | BOUNDED
MODIFIERS: Final = st.one_of(
    st.builds(set_path, PATHS, SCALARS),
    st.builds(unset_path, PATHS),
    st.builds(push_to_path, PATHS, SCALARS),
    DOCUMENTS,
)
STEPS: Final[st.SearchStrategy[Step]] = st.one_of(
    st.builds(insert_of, IDS, DOCUMENTS),
    st.builds(update_of, CHOSEN, MODIFIERS, st.booleans()),
    st.builds(delete_of, CHOSEN, st.booleans()),
    SPECS,
    st.sampled_from(["commit", "commit", "abort", "drop"]),
    st.builds(query_of, ASKED, SORTS | st.just(NO_SORT), st.integers(0, 2), st.integers(0, 3)),
)


ASKED_ALWAYS: Final = [
    query_of(selector, NO_SORT, 0, 0)
    for selector in ({"a": 1}, {"a": None}, {"b": {"$gt": 0}}, {"a": {"$gt": 0, "$lt": 2}})
]
INDEXED_ALWAYS: Final = [spec_of(["a"], False), spec_of(["b", "a"], False)]


def answer(readable: Readable, query: Query) -> list[Any] | str:
    try:
        return [key_of(document["_id"]) for document in compile_query(query)(readable)]
    except OperationFailure as error:
        return str(error)


def done(work: Work, workspace: Workspace) -> tuple[Any, ...]:
    try:
        receipt = work(workspace)
    except OperationFailure as error:
        if error.code == CANNOT_INDEX_PARALLEL_ARRAYS:
            raise
        return (str(error),)
    return (receipt.inserted_ids, receipt.matched, receipt.modified, receipt.deleted)


class Twins:
    """The same data twice; only the first has indexes."""

    def __init__(self) -> None:
        self.databases = (Database(), Database())
        self.workspaces = self.begin()

    def begin(self) -> tuple[Workspace, Workspace]:
        indexed, plain = self.databases
        return Workspace(indexed), Workspace(plain)

    def commit(self) -> None:
        for database, workspace in zip(self.databases, self.workspaces, strict=True):
            for entry in workspace.entries:
                database.apply(entry)

    def take(self, step: Step) -> None:
        indexed, plain = self.workspaces
        match step:
            case Query():
                assert answer(indexed, step) == answer(plain, step)
                assert answer(self.databases[0], step) == answer(self.databases[1], step)
            case "drop":
                indexed.drop_collection("c")
                plain.drop_collection("c")
            case "commit" | "abort":
                if step == "commit":
                    self.commit()
                self.workspaces = self.begin()
            case IndexSpec():
                indexed.create_index("c", step)
            case str():
                raise AssertionError(step)
            case _:
                work = compile_operation(step, 0)
                assert done(work, indexed) == done(work, plain)
        assert list(indexed.documents("c")) == list(plain.documents("c"))
        indexed, plain = self.workspaces
        for query in ASKED_ALWAYS:
            assert answer(indexed, query) == answer(plain, query)


@settings(max_examples=150, deadline=None)
@given(
    specs=st.lists(SPECS, max_size=3),
    documents=st.lists(DOCUMENTS, max_size=6),
    steps=st.lists(STEPS, min_size=1, max_size=25),
)
def test_queries_and_writes_do_the_same_with_and_without_indexes(
    specs: list[IndexSpec], documents: list[Document], steps: list[Step]
) -> None:
    twins = Twins()
    inserts = [
        Insert(collection="c", documents=[{"_id": id, **document}])
        for id, document in enumerate(documents)
    ]
    for step in [*INDEXED_ALWAYS, "commit", *specs, *inserts, "commit", *steps]:
        try:
            twins.take(step)
        except OperationFailure as error:
            # What an index refuses neither of them has.
            if error.code not in (CANNOT_INDEX_PARALLEL_ARRAYS, INDEX_OPTIONS_CONFLICT):
                raise
            twins.workspaces = twins.begin()


@settings(max_examples=300, deadline=None)
@given(spec=SPECS, documents=st.lists(DOCUMENTS, max_size=6), selector=ASKED, gone=st.sets(IDS))
def test_an_index_finds_at_least_all_that_match_and_counts_no_less(
    spec: IndexSpec, documents: list[Document], selector: dict[str, Any], gone: set[int]
) -> None:
    bounds = bounds_of(selector)
    matcher = Matcher(selector)
    index = LookupIndex(spec)
    # Asked before it has documents, so that what is kept in order is kept up.
    if not can_answer(spec, bounds):
        return
    assert index.find(bounds) == set()
    for id, document in enumerate(documents):
        index.add(id, document)
    for id in gone & set(range(len(documents))):
        index.remove(id, documents[id])
    matching = {
        id for id, document in enumerate(documents) if id not in gone and matcher.matches(document)
    }
    found = index.find(bounds)
    assert matching <= found <= set(range(len(documents))) - gone
    assert len(found) <= index.count(bounds)
    fresh = LookupIndex(
        spec, [(id, document) for id, document in enumerate(documents) if id not in gone]
    )
    assert fresh.find(bounds) == found

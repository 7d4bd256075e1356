from bolide.server.stores.base import Change, ChangeKind, IndexSpec
from bolide.server.stores.embedded.database import Database, Entry

BY_CODE = IndexSpec(keys=(("code", 1),), name="code_1", unique=True)


def test_each_entry_is_one_position_and_says_what_the_feed_tells() -> None:
    database = Database(6)
    one, two = {"_id": 1}, {"_id": 1, "n": 2}
    assert database.apply(Entry("beds", ChangeKind.INSERT, 1, one)) == Change(
        7, "beds", 1, ChangeKind.INSERT, None, one
    )
    assert database.apply(Entry("beds", ChangeKind.UPDATE, 1, two)) == Change(
        8, "beds", 1, ChangeKind.UPDATE, one, two
    )
    assert database.apply(Entry("beds", None, indexes=(BY_CODE,))) is None
    assert database.apply(Entry("beds", ChangeKind.DELETE, 1)) == Change(
        10, "beds", 1, ChangeKind.DELETE, two, None
    )
    assert database.apply(Entry("beds", ChangeKind.COLLECTION_LOST)) == Change(
        11, "beds", None, ChangeKind.COLLECTION_LOST, None, None
    )
    assert database.position == 11


def test_a_loaded_database_has_documents_and_keys() -> None:
    database = Database(5)
    database.load("beds", {"_id": 1, "code": "a"})
    database.load_indexes("beds", (BY_CODE,))
    assert database.position == 5
    assert list(database.documents("beds")) == [{"_id": 1, "code": "a"}]
    assert database.document("beds", ("number", 1)) == {"_id": 1, "code": "a"}
    index = database.committed("beds").unique["code_1"]
    assert index.entries == {("a",): ("number", 1)}


def test_keys_follow_the_documents() -> None:
    database = Database()
    database.apply(Entry("beds", None, indexes=(BY_CODE,)))
    database.apply(Entry("beds", ChangeKind.INSERT, 1, {"_id": 1, "code": ["a", "b"]}))
    index = database.committed("beds").unique["code_1"]
    assert index.entries.keys() == {("a",), ("b",)}
    database.apply(Entry("beds", ChangeKind.REPLACE, 1, {"_id": 1, "code": "b"}))
    assert index.entries.keys() == {("b",)}
    database.apply(Entry("beds", ChangeKind.DELETE, 1))
    assert index.entries == {}


def test_an_index_that_stays_keeps_its_keys() -> None:
    database = Database()
    database.apply(Entry("beds", None, indexes=(BY_CODE,)))
    kept = database.committed("beds").unique["code_1"]
    plain = IndexSpec(keys=(("ward", 1),), name="ward_1")
    database.apply(Entry("beds", None, indexes=(BY_CODE, plain)))
    assert database.committed("beds").unique == {"code_1": kept}
    assert database.committed("beds").unique["code_1"] is kept
    assert database.indexes("beds") == (BY_CODE, plain)


def test_an_unknown_collection_is_empty() -> None:
    database = Database()
    assert list(database.documents("beds")) == []
    assert database.document("beds", 1) is None
    assert database.indexes("beds") == ()

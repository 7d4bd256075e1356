import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bolide.core.bson_codec import to_bson
from bolide.server.stores.base import ChangeKind, IndexSpec
from bolide.server.stores.embedded.database import Entry
from bolide.server.stores.sqlite.file import SQLiteFile
from bolide.server.stores.sqlite.inspection import CollectionSize, inspect_file

BODY = to_bson({"_id": 1, "name": "Ada"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a ward?#%.db"
    index = IndexSpec(keys=(("name", 1),), name="name_1")
    with closing(SQLiteFile(path, max_bytes=None, history=10)) as file:
        file.begin()
        file.append(
            [
                Entry("beds", ChangeKind.INSERT, 1, {"_id": 1, "name": "Ada"}, BODY),
                Entry("beds", None, indexes=(index,)),
            ],
            0,
        )
        file.commit()
    return path


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_file_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    report = inspect_file(tmp_path / "new.db")
    assert (report.exists, report.problems, report.processes) == (False, [], [])
    assert report.free_bytes > 0


def test_a_sound_file_is_measured(path: Path) -> None:
    report = inspect_file(path)
    assert report.problems == []
    assert (report.format, report.position, report.oldest) == (2, 2, 1)
    assert report.collections == [CollectionSize("beds", 1, len(BODY))]
    assert report.file_bytes == path.stat().st_size
    assert report.log_bytes == 0


def test_an_open_file_has_a_log(path: Path) -> None:
    with closing(SQLiteFile(path, max_bytes=None, history=10)) as file:
        file.begin()
        file.append([Entry("beds", ChangeKind.DELETE, 1)], 2)
        file.commit()
        report = inspect_file(path)
        assert (report.problems, report.position, report.collections) == ([], 3, [])
        assert report.log_bytes > 0


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("documents", "1 documents of the collection beds are not as they were written"),
        ("changes", "2 of the changes are not as they were written"),
        ("indexes", "the indexes of the collection beds are not as they were written"),
    ],
)
def test_rows_that_differ_from_their_checksums_are_told(path: Path, table: str, told: str) -> None:
    execute(path, f"UPDATE {table} SET crc = crc + 1")
    assert inspect_file(path).problems == [told]


def test_a_file_without_checksums_is_examined_as_far_as_it_goes(path: Path) -> None:
    for table in ("documents", "changes", "indexes"):
        execute(path, f"UPDATE {table} SET crc = 0")
    execute(path, "PRAGMA user_version = 1")
    report = inspect_file(path)
    assert (report.problems, report.format) == ([], 1)
    assert report.collections == [CollectionSize("beds", 1, len(BODY))]


def test_what_is_not_a_store_of_this_version_is_a_problem(path: Path) -> None:
    execute(path, "PRAGMA user_version = 3")
    report = inspect_file(path)
    assert report.problems == ["a newer Bolide wrote it: format 3, this one knows 2"]
    assert report.remedy == "install that version of Bolide"
    execute(path, "PRAGMA application_id = 3")
    report = inspect_file(path)
    assert report.problems == ["it is another program's database"]
    assert report.remedy == "name another file as the store, or move this one away"
    path.write_bytes(b"a letter " * 1000)
    report = inspect_file(path)
    assert report.problems == ["SQLite cannot read it: file is not a database"]
    assert report.remedy == "name another file as the store, or move this one away"


def test_an_empty_file_is_one_in_which_a_node_begins(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    path.touch()
    report = inspect_file(path)
    assert (report.exists, report.is_new, report.problems) == (True, True, [])
    SQLiteFile(path, max_bytes=None, history=10).close()
    assert not inspect_file(path).is_new


def test_tables_of_another_program_are_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    execute(path, "CREATE TABLE beds (id)")
    assert inspect_file(path).problems == ["it is another program's database"]


def test_a_table_that_is_missing_is_a_problem(path: Path) -> None:
    execute(path, "DROP TABLE documents")
    report = inspect_file(path)
    assert report.problems == ["SQLite cannot read it: no such table: documents"]
    assert report.remedy == "stop all nodes, keep the file, restore a backup"

"""Tables: what is held is shown, or how much of it is not."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from bolide.client.connection.status import ConnectionState, Status
from bolide.core.values import Document
from bolide.ops.terminal.tables import CollectionTables, share, status_text


def drawn(what: RenderableType, *, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height)
    console.print(what)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status(state=ConnectionState.CONNECTED), "● connected"),
        (
            Status(state=ConnectionState.CONNECTED, catching_up=True),
            "● connected, catching up",
        ),
        (
            Status(state=ConnectionState.CONNECTED, late_because="the database is away"),
            "● connected, late: the database is away",
        ),
        (
            Status(state=ConnectionState.WAITING, reason="Nothing listens.", retry_in_s=2.2),
            "● waiting, next try in 2 s: Nothing listens.",
        ),
    ],
)
def test_status_says_why_and_when(status: Status, line: str) -> None:
    assert drawn(status_text(status)) == [line]


def test_wait_gets_shorter_and_never_negative() -> None:
    status = Status(state=ConnectionState.WAITING, retry_in_s=3.0)
    assert status_text(status, elapsed_s=1.0).plain == "● waiting, next try in 2 s"
    assert status_text(status, elapsed_s=9.0).plain == "● waiting, next try in 0 s"


def test_room_is_shared_fairly() -> None:
    assert share([2, 100, 50], 22) == [2, 10, 10]
    assert share([5, 5], 40) == [5, 5]
    assert share([9, 9, 0], 1) == [1, 1, 0]


def test_table_has_a_column_for_each_field_of_any_document() -> None:
    beds: list[Document] = [{"_id": "b1", "label": "7-01"}, {"_id": "b2", "free": True}]
    lines = drawn(CollectionTables({"beds": beds}))
    assert lines[0] == "beds  2"
    assert lines[1].split() == ["_id", "label", "free"]
    assert [line.split() for line in lines[2:4]] == [["b1", "7-01"], ["b2", "true"]]


def test_numbers_stand_at_the_right() -> None:
    lines = drawn(CollectionTables({"vitals": [{"_id": "a", "rate": 7}, {"_id": "b", "rate": 77}]}))
    assert [line[-2:] for line in lines[-3:-1]] == [" 7", "77"]


def test_what_does_not_fit_is_counted() -> None:
    vitals: list[Document] = [{"_id": f"p{number}", "rate": number} for number in range(40)]
    lines = drawn(CollectionTables({"vitals": vitals}, reserved=2), height=12)
    assert len(lines) == 10
    assert lines[0] == "vitals  40, 33 not shown"
    assert lines[-2].split() == ["p6", "6"]


def test_fields_that_do_not_fit_are_counted() -> None:
    wide = {"_id": "w", **{f"field{number}": number for number in range(20)}}
    lines = drawn(CollectionTables({"wide": [wide]}), width=40)
    assert lines[1].split()[-2:] == ["+18", "fields"]
    assert lines[1].split()[0] == "_id"
    assert all(len(line) <= 40 for line in lines)


def test_collection_without_documents_is_only_named() -> None:
    assert drawn(CollectionTables({"notes": []})) == ["notes  0", ""]


def test_markup_and_terminal_commands_in_documents_are_text() -> None:
    lines = drawn(CollectionTables({"notes": [{"_id": "[red]n", "text": "\x1b[31mhi"}]}))
    assert lines[-2].split() == ["[red]n", "\\u001b[31mhi"]


def test_long_texts_leave_room_for_the_others() -> None:
    note = {"_id": "n1", "text": "slept well " * 20, "ward": "7", "patient": "p01"}
    lines = drawn(CollectionTables({"notes": [note]}), width=50)
    assert lines[1].split() == ["_id", "text", "ward", "patient"]
    assert lines[2].split()[0] == "n1"
    assert lines[2].split()[-2:] == ["7", "p01"]
    assert "…" in lines[2]
    assert len(lines[2]) <= 50

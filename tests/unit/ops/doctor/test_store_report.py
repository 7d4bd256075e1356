"""The report on a store: what an operator reads of it."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from bolide.ops.doctor.store_report import print_report, report_rows
from bolide.server.stores.sqlite.inspection import CollectionSize, FileReport

SOUND = FileReport(
    path=Path("/var/lib/ward.db"),
    exists=True,
    file_bytes=12_300_000,
    log_bytes=512,
    free_bytes=4_000_000_000,
    file_system="ext4",
    processes=[17, 42],
    format=2,
    position=500,
    oldest=401,
    collections=[CollectionSize("beds", 7, 2_500), CollectionSize("a\x1b[2J", 1, 1)],
)


def text_of(report: FileReport, *, is_terminal: bool = False) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=100, color_system="standard")
    print_report(report, 10_000, console)
    return out.getvalue()


def test_a_sound_file_is_told_in_plain_lines() -> None:
    assert text_of(SOUND).splitlines() == [
        "  file                    /var/lib/ward.db",
        "  state                   sound",
        "  file system             ext4, 4.0 GB free",
        "  processes               2 (17, 42)",
        "  size                    12.3 MB, and 512 bytes of log",
        "  format                  2",
        "  changes                 500; 100 are kept, the oldest is 401",
        "  documents               2.5 kB of 10.0 kB (25%)",
        "    beds                  7 in 2.5 kB",
        "    a\\u001b[2J            1 in 1 bytes",
    ]


def test_a_file_that_is_not_there_has_no_contents() -> None:
    report = FileReport(path=Path("/ward.db"), exists=False)
    assert dict(report_rows(report, 10)) == {
        "file": "/ward.db",
        "state": "not there yet: the first node makes it",
        "file system": "unknown, 0 bytes free",
        "processes": "none",
    }


def test_an_empty_file_says_what_becomes_of_it() -> None:
    report = FileReport(path=Path("/ward.db"), exists=True, is_new=True)
    rows = dict(report_rows(report, 10))
    assert rows["state"] == "empty: the first node begins a store in it"
    assert "documents" not in rows


def test_problems_stand_out_on_a_terminal() -> None:
    report = FileReport(path=Path("/ward.db"), exists=True, problems=["page 3 is never used"])
    plain, coloured = text_of(report), text_of(report, is_terminal=True)
    assert "not usable" in plain
    assert "page 3 is never used" in plain
    assert "\x1b" not in plain
    assert "\x1b[31m" in coloured
    assert "page 3 is never used" in coloured

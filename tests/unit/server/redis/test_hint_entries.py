"""Entries of hints: two fields, small, and nothing else."""

from typing import Any

import pytest
from bson import Decimal128, ObjectId

from bolide.core.values import Regex
from bolide.server.redis.hint_entries import (
    MAX_ENTRY_BYTES,
    BadEntry,
    Hint,
    entry_fields,
    read_entry,
)


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("p01", '"p01"'),
        ("", '""'),
        (7, "7"),
        (
            ObjectId("5f0c5f0c5f0c5f0c5f0c5f0c"),
            '{"$type":"oid","$value":"5f0c5f0c5f0c5f0c5f0c5f0c"}',
        ),
        (Decimal128("1.5"), '{"$type":"Decimal","$value":"1.5"}'),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        (None, "null"),
    ],
)
def test_any_id_makes_an_entry_and_comes_back(id: Any, text: str) -> None:
    fields = entry_fields(Hint("patients", id))
    assert fields == ("collection", "patients", "id", text)
    assert read_entry([field.encode() for field in fields]) == Hint("patients", id)


def test_the_order_of_the_fields_and_of_an_objects_keys_is_of_no_matter() -> None:
    entry = [b"id", b'{"$value": "5f0c5f0c5f0c5f0c5f0c5f0c", "$type": "oid"}', b"collection", b"c"]
    assert read_entry(entry) == Hint("c", ObjectId("5f0c5f0c5f0c5f0c5f0c5f0c"))


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"collection", b"patients"],
        [b"collection", b"patients", b"id", b'"p"', b"name", b"Ada"],
        [b"collection", b"patients", b"collection", b"patients"],
        [b"collection", b"patients", b"ID", b'"p"'],
        [b"collection", b"", b"id", b'"p"'],
        [b"collection", b"a$b", b"id", b'"p"'],
        [b"collection", b"a\0b", b"id", b'"p"'],
        [b"collection", b"\xff", b"id", b'"p"'],
        [b"collection", b"x" * 256, b"id", b'"p"'],
        [b"collection", b"patients", b"id", b"p01"],
        [b"collection", b"patients", b"id", b'"\xff"'],
        [b"collection", b"patients", b"id", b'{"$type":"oid","$value":"short"}'],
        [b"collection", b"patients", b"id", b'{"$type":"nobody","$value":1}'],
        [b"collection", b"patients", b"id", b"[1]"],
        [b"collection", b"patients", b"id", b'{"$regexp":"a","$flags":""}'],
        [b"collection", b"patients", b"id", b"[" * 4000],
        [b"collection", b"patients", b"id", b'{"a":' * 600 + b"1" + b"}" * 600],
    ],
)
def test_what_is_no_hint_is_refused(fields: list[bytes]) -> None:
    with pytest.raises(BadEntry) as caught:
        read_entry(fields)
    assert caught.value.outcome == "malformed"
    assert "Ada" not in str(caught.value)


def test_size_is_bounded() -> None:
    room = MAX_ENTRY_BYTES - len("patients") - 2
    entry_fields(Hint("patients", "x" * room))
    with pytest.raises(BadEntry) as caught:
        entry_fields(Hint("patients", "x" * (room + 1)))
    assert caught.value.outcome == "too large"
    with pytest.raises(BadEntry, match="4096 bytes"):
        read_entry([b"x"] * 5000)


def test_nobody_publishes_what_nobody_reads() -> None:
    for hint in (Hint("", "p"), Hint("patients", Regex("a", ""))):
        with pytest.raises(BadEntry):
            entry_fields(hint)

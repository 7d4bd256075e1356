"""Audit records: who, what, when, where from, why, and how it ended."""

from dataclasses import FrozenInstanceError, fields

import pytest

from bolide.server.audit.sink import AuditRecord


def test_a_record_says_it_all_and_cannot_be_changed() -> None:
    record = AuditRecord(who="nurse", what="method move", when_ms=1, outcome="allowed")
    assert [field.name for field in fields(record)] == [
        "who",
        "what",
        "when_ms",
        "outcome",
        "where",
        "why",
        "collection",
        "ids",
        "fields",
    ]
    with pytest.raises(FrozenInstanceError):
        record.who = "somebody"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]

"""The merge box: Meteor's own session view tests, and random steps answered by the real one."""

from typing import Any

import pytest
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import LocalProtocolError
from bolide.core.values import UNDEFINED
from bolide.server.sessions.view.mergebox import MergeBox
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import DataMessage, ViewChange

ASSERTED = load("mergebox")
RANDOM = load("fuzz_mergebox")


def step(box: MergeBox, op: str, sub: str, id: str, fields: dict[str, Any]) -> DataMessage | None:
    match op:
        case "added":
            shown = {name: value for name, value in fields.items() if value is not UNDEFINED}
            return box.apply(sub, ViewChange.added("c", id, shown))
        case "changed":
            return box.changed(sub, "c", id, fields)
        case _:
            return box.apply(sub, ViewChange.removed("c", id, {}))


def as_row(message: DataMessage) -> dict[str, Any]:
    match message:
        case Added():
            return {"msg": "added", "id": message.id, "fields": dict(message.fields)}
        case Changed():
            return {
                "msg": "changed",
                "id": message.id,
                "fields": dict(message.fields),
                "cleared": sorted(message.cleared),
            }
        case Removed():
            return {"msg": "removed", "id": message.id}


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "cleared": sorted(row["cleared"])} if "cleared" in row else row for row in rows]


def make_box() -> MergeBox:
    return MergeBox(lambda _: PublicationStrategy.SERVER_MERGE)


@for_each(ASSERTED)
def test_session_view(row: Row) -> None:
    box = make_box()
    with passing(row):
        for given in row["steps"]:
            arguments = (given["op"], given["sub"], given["id"], given.get("fields", {}))
            if "error" in given:
                with pytest.raises(LocalProtocolError):
                    step(box, *arguments)
                continue
            message = step(box, *arguments)
            assert ([as_row(message)] if message else []) == expected(given["emits"])


@for_each(RANDOM)
def test_random_steps(row: Row) -> None:
    box = make_box()
    with passing(row):
        for (op, sub, id, *rest), emits in zip(row["steps"], row["expect"], strict=True):
            message = step(box, op, sub, id, rest[0] if rest else {})
            assert ([as_row(message)] if message else []) == expected(emits)

"""The SDK's local collection under the writes of a row, beside what Meteor's observer showed."""

from typing import Any, TypeAlias

from tests.conformance.rows import Row

from bolide.client.collections.changes import Added, Change, Changed, Moved, Removed
from bolide.client.collections.local_collection import LocalCollection
from bolide.client.collections.observer import ChangeReader, Selection
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier
from bolide.core.values import UNDEFINED, Document, equals

Shown: TypeAlias = list[tuple[Any, Document]]


def replay_ours(shown: Shown, changes: list[Change]) -> None:
    for change in changes:
        match change:
            case Added(id, index, document):
                shown.insert(index, (id, fields_of(document)))
            case Changed(id, index, _, fields, cleared):
                kept = {k: v for k, v in shown[index][1].items() if k not in cleared}
                shown[index] = (id, {**kept, **fields})
            case Moved(id, from_index, index):
                assert shown[from_index][0] == id
                shown.insert(index, shown.pop(from_index))
            case Removed(id, index):
                assert shown.pop(index)[0] == id


def replay_meteors(shown: Shown, callbacks: list[list[Any]]) -> None:
    for name, id, *rest in callbacks:
        position = next((n for n, (known, _) in enumerate(shown) if known == id), None)
        if name == "addedBefore":
            assert position is None
            place(shown, (id, fields_of(rest[0])), rest[1])
            continue
        assert position is not None
        match name:
            case "changed":
                changed = {**shown[position][1], **rest[0]}
                gone = {*rest[1], *(k for k, v in rest[0].items() if v is UNDEFINED)}
                shown[position] = (id, {k: v for k, v in changed.items() if k not in gone})
            case "movedBefore":
                place(shown, shown.pop(position), rest[0])
            case _:
                assert name == "removed"
                del shown[position]


def place(shown: Shown, entry: tuple[Any, Document], before: Any) -> None:
    ids = [id for id, _ in shown]
    shown.insert(len(shown) if before is None else ids.index(before), entry)


def fields_of(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_id"}


def write(collection: LocalCollection, step: list[Any]) -> None:
    operation, argument, *rest = step
    if operation == "insert":
        if not collection.fetch(Selection(argument["_id"])):
            collection.put(argument["_id"], argument)
        return
    matcher = Matcher(argument)
    found = [d for d in collection.fetch(Selection()) if matcher.matches(d)]
    if operation == "remove":
        for document in found:
            collection.put(document["_id"], None)
        return
    assert operation == "update"
    modifier, is_multi = Modifier(rest[0]), len(rest) > 1
    for document in found if is_multi else found[:1]:
        indices = matcher.match(document).array_indices
        collection.put(document["_id"], modifier.apply(document, now_ms=0, array_indices=indices))


def same(shown: Shown, other: Shown) -> bool:
    return equals(list(map(list, shown)), list(map(list, other)))


def selection_of(row: Row) -> Selection:
    options: dict[str, Any] = row["options"]
    return Selection(
        row["selector"],
        sort=options.get("sort"),
        skip=options.get("skip", 0),
        limit=options.get("limit"),
        projection=options.get("fields"),
    )


class Observed:
    """A collection with the documents of a row, and what our observer and Meteor's show of it."""

    def __init__(self, row: Row) -> None:
        self.collection = LocalCollection("c")
        for document in row["docs"]:
            self.collection.put(document["_id"], document)
        self.selection = selection_of(row)
        self._reader = ChangeReader(self.collection.observe(self.selection, lambda: None))
        self.ours: Shown = []
        self.meteors: Shown = []

    def read(self) -> list[Change]:
        changes = self._reader.read()
        replay_ours(self.ours, changes)
        return changes

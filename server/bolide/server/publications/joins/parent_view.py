"""A parent document as a child function sees it: read-only, and it remembers what was read."""

from collections.abc import Iterator, Mapping

# Values of documents have no static type.
from typing import Any

from bolide.core.minimongo.projection import Projection
from bolide.core.values import UNDEFINED, Fields, equals
from bolide.server.collections.specification import copied
from bolide.server.publications.joins.errors import FieldNotShown
from bolide.server.sessions.view.view_change import changed_fields

__all__ = ["ParentView", "ShownFields"]


class ShownFields:
    """Which top-level fields the projection of a parent's cursor lets through.

    Attributes:
        collection: Of the parents, for the error.
    """

    __slots__ = ("_named", "_only_named", "collection")

    def __init__(self, collection: str, projection: Mapping[str, Any] | None) -> None:
        """Compile it.

        Raises:
            MinimongoError: If it is no projection.
        """
        compiled = Projection(None if projection is None else dict(projection))
        self.collection = collection
        self._only_named = compiled.including
        # A path inside of a field leaves the rest of an excluded one, and some of an included one.
        self._named = {
            path.partition(".")[0] for path in compiled.paths if self._only_named or "." not in path
        }

    def check(self, name: str) -> None:
        """Make sure that a field is not hidden.

        Raises:
            FieldNotShown: If it is.
        """
        if name != "_id" and (name in self._named) is not self._only_named:
            raise FieldNotShown(self.collection, name)


class ParentView(Mapping[str, Any]):
    """One parent document for one child function.

    The values it hands out are copies where they could be changed. Going through all fields counts
    as reading all of them.
    """

    __slots__ = ("_fields", "_id", "_read", "_read_all", "_shown")

    def __init__(self, id: Any, fields: Fields, shown: ShownFields) -> None:
        """Show a document.

        Args:
            id: Its ``_id``.
            fields: Its published fields, without ``_id``; never changed.
            shown: What its cursor publishes.
        """
        self._id = id
        self._fields = fields
        self._shown = shown
        self._read: set[str] = set()
        self._read_all = False

    def __getitem__(self, name: str) -> Any:
        value = self._look(name)
        if value is UNDEFINED:
            raise KeyError(name)
        return copied(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._look(name) is not UNDEFINED

    def __iter__(self) -> Iterator[str]:
        self._read_all = True
        return iter(["_id", *self._fields])

    def __len__(self) -> int:
        self._read_all = True
        return 1 + len(self._fields)

    def has_other(self, fields: Fields) -> bool:
        """Tell whether another state of the document differs in what was read."""
        old = self._fields
        if old is fields:
            return False
        if self._read_all:
            return bool(changed_fields(old, fields))
        return any(
            not equals(old.get(name, UNDEFINED), fields.get(name, UNDEFINED)) for name in self._read
        )

    def show(self, fields: Fields) -> None:
        """Go on with another state; a function inside of the child function may read it later."""
        self._fields = fields

    def values_read(self) -> Mapping[str, Any]:
        """Return what was read, by name; shared, never to be changed."""
        names = self._fields if self._read_all else self._read
        values = {name: self._fields[name] for name in names if name in self._fields}
        if self._read_all or "_id" in self._read:
            values["_id"] = self._id
        return values

    def _look(self, name: str) -> Any:
        self._shown.check(name)
        self._read.add(name)
        return self._id if name == "_id" else self._fields.get(name, UNDEFINED)

"""What an update event says has changed, applied to the document as it was.

Specified by MongoDB's manual, "Change Events: update". A path is written with dots there, so a
name that holds a dot itself, or a number that may be an index or a name, can be told apart only by
looking at the document. Where that leaves a doubt, nothing is guessed.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from bolide.core.values import Document

__all__ = ["applied"]


_Container: TypeAlias = dict[str, Any] | list[Any]


class _Doubt(Exception):
    """The paths of an event do not fit the document."""


def applied(document: Document, description: Mapping[str, Any]) -> Document | None:
    """Return the document after an update; what did not change is shared with it.

    Args:
        document: Exactly as it was before the update; it stays as it is.
        description: ``updateDescription`` of the event.

    Returns:
        The document after it; None if the description leaves a doubt, and it must be read.
    """
    if description.get("disambiguatedPaths"):
        return None
    updated: Mapping[str, Any] = description.get("updatedFields") or {}
    removed, cut = description.get("removedFields"), description.get("truncatedArrays")
    # Most updates set fields at the top, and no name has a dot.
    if not removed and not cut and "." not in "".join((*updated, *document)):
        return {**document, **updated}
    try:
        change = _Change(document)
        for truncated in cut or ():
            change.truncate(truncated["field"], truncated["newSize"])
        for path in removed or ():
            change.remove(path)
        for path, value in updated.items():
            change.put(path, value)
    except _Doubt:
        return None
    return change.document


class _Change:
    """A document that is being changed: a container is copied the first time something in it is.

    Attributes:
        document: The changed copy.
    """

    def __init__(self, document: Document) -> None:
        _check_names(document)
        self.document = dict(document)
        # Containers that are our own already.
        self._copied: set[int] = {id(self.document)}

    def put(self, path: str, value: Any) -> None:
        parent, last = self._parent(path)
        if isinstance(parent, dict):
            # A new name may be the end of a path, or the end of a name that holds a dot.
            if last not in parent and last != path:
                raise _Doubt
            parent[last] = value
            return
        index = _index(last)
        if index > len(parent):
            raise _Doubt
        parent[index : index + 1] = [value]

    def remove(self, path: str) -> None:
        parent, last = self._parent(path)
        if not isinstance(parent, dict) or last not in parent:
            raise _Doubt
        del parent[last]

    def truncate(self, path: str, size: int) -> None:
        parent, last = self._parent(path)
        array = self._own(parent, last)
        if not isinstance(array, list) or size > len(array):
            raise _Doubt
        del array[size:]

    def _parent(self, path: str) -> tuple[_Container, str]:
        *names, last = path.split(".")
        place: _Container = self.document
        for name in names:
            place = self._own(place, name)
        return place, last

    def _own(self, parent: _Container, name: str) -> _Container:
        """Return a container in a container, as a copy that may be changed."""
        key: Any = name if isinstance(parent, dict) else _index(name)
        try:
            child = parent[key]
        except (KeyError, IndexError):
            raise _Doubt from None
        if not isinstance(child, (dict, list)):
            raise _Doubt
        container = cast("_Container", child)
        if id(container) in self._copied:
            return container
        if isinstance(container, dict):
            _check_names(container)
        copy = container.copy()
        parent[key] = copy
        self._copied.add(id(copy))
        return copy


def _check_names(document: Mapping[str, Any]) -> None:
    for name in document:
        if "." in name:
            raise _Doubt


def _index(name: str) -> int:
    if not name.isascii() or not name.isdecimal():
        raise _Doubt
    return int(name)

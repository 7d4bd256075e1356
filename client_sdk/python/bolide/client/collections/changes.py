"""The changes of a query's result, as the programs that show it get them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bolide.core.values import Document

__all__ = ["Added", "Change", "Changed", "Moved", "Removed"]

# Ids and values of fields are what applications made them: any value.


@dataclass(frozen=True, slots=True)
class Added:
    """``list.insert(index, document)``.

    Attributes:
        id: The document's ``_id``.
        index: Where it is to be inserted.
        document: The document as the query shows it; read-only.
    """

    id: Any
    index: int
    document: Document


@dataclass(frozen=True, slots=True)
class Changed:
    """``list[index] = document``.

    Attributes:
        id: The document's ``_id``.
        index: Where it stands.
        document: The whole document as it is now; read-only.
        fields: New values of its top-level fields.
        cleared: Names of the fields it no longer has.
    """

    id: Any
    index: int
    document: Document
    fields: Mapping[str, Any]
    cleared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """``list.insert(index, list.pop(from_index))``; a :class:`Changed` tells new values.

    Attributes:
        id: The document's ``_id``.
        from_index: Where it stood.
        index: Where it stands afterwards.
        document: The document as it was before; read-only.
    """

    id: Any
    from_index: int
    index: int
    document: Document


@dataclass(frozen=True, slots=True)
class Removed:
    """``del list[index]``.

    Attributes:
        id: The document's ``_id``.
        index: Where it stood.
        document: The document as it was last shown.
    """

    id: Any
    index: int
    document: Document


Change: TypeAlias = Added | Changed | Moved | Removed
"""One step; all steps in their order turn the former list into the present one."""

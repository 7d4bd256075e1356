"""The result of one query, kept current document by document.

Sans-I/O. All documents that match are kept in order, also those outside ``skip`` and ``limit``, so
a change costs one match and a binary search, and no window is ever computed anew. Readers take
the difference to what they saw last, when they come (:class:`ChangeReader`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from bolide.client.collections.changes import Change
from bolide.client.collections.difference import Row, difference
from bolide.core.keys import Key, key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, ObjectId, equals

__all__ = ["EVERYTHING", "ChangeReader", "Observer", "Selection", "Selector", "Sort"]

# Selectors are what MongoDB takes: objects of any values, or an id.
Selector: TypeAlias = Mapping[str, Any] | str | ObjectId | None
Sort: TypeAlias = Mapping[str, Any] | Sequence[Any] | None

EVERYTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""The selector of all documents."""

# Sort key or distance, then arrival: no two documents have the same.
_Order: TypeAlias = tuple[Any, int]


class Selection:
    """A query, compiled once.

    Attributes:
        skip: How many documents at the beginning are left out.
        limit: How many are shown at most; None for all.
        only_key: Key of the one document it can match, if the selector is an id.
    """

    __slots__ = ("_matcher", "_projection", "_sorter", "limit", "only_key", "skip")

    def __init__(
        self,
        selector: Selector = EVERYTHING,
        *,
        sort: Sort = None,
        skip: int = 0,
        limit: int | None = None,
        projection: Mapping[str, Any] | None = None,
    ) -> None:
        """Compile a query.

        Args:
            selector: MongoDB selector, or an id; None for no document.
            sort: ``[("bed", 1), ("name", -1)]`` or ``{"bed": 1}``; without it the order of arrival.
            skip: Not negative.
            limit: Not negative; 0 and None for all.
            projection: Which fields are shown.

        Raises:
            MinimongoError: If one of them is not understood.
        """
        if skip < 0 or (limit is not None and limit < 0):
            raise MinimongoError("skip and limit must not be negative.")
        self.skip = skip
        self.limit = limit or None
        compiled = dict(selector) if isinstance(selector, Mapping) else selector
        self._matcher = Matcher(compiled)
        self._sorter = Sorter(dict(sort) if isinstance(sort, Mapping) else sort) if sort else None
        self._projection = Projection(dict(projection)) if projection else None
        wanted = compiled.get("_id") if isinstance(compiled, dict) else compiled
        self.only_key: Key = key_of(wanted) if isinstance(wanted, str | ObjectId) else None

    def order_of(self, document: Document, arrival: int) -> _Order | None:
        """Return what the document is sorted by, or None if it does not match."""
        if self._matcher.has_near and self._sorter is None:
            match = self._matcher.match(document)
            return (match.distance, arrival) if match.matched else None
        if not self._matcher.matches(document):
            return None
        return (0 if self._sorter is None else self._sorter.key(document), arrival)

    def row_of(self, key: Key, document: Document, former: Row | None) -> Row:
        """Return the document as it is shown; the former row if that shows the same."""
        shown = document if self._projection is None else self._projection.apply(document)
        if former is not None and equals(former.document, shown):
            return former
        return Row(key, document["_id"], shown)


class Observer:
    """One query's result over a changing set of documents."""

    __slots__ = ("_error", "_on_change", "_orders", "_orders_by_key", "_rows", "_selection")

    def __init__(
        self,
        selection: Selection,
        documents: Iterable[tuple[Key, int, Document]],
        on_change: Callable[[], None],
    ) -> None:
        """Compute the result.

        Args:
            selection: The query.
            documents: Key, arrival and document of each.
            on_change: Called after a change that the result may show.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        self._selection = selection
        self._on_change = on_change
        self._error: MinimongoError | None = None
        found: list[tuple[_Order, Row]] = []
        for key, arrival, document in documents:
            order = selection.order_of(document, arrival)
            if order is not None:
                found.append((order, selection.row_of(key, document, None)))
        found.sort(key=_first)
        self._orders = [order for order, _ in found]
        self._rows = [row for _, row in found]
        self._orders_by_key: dict[Key, _Order] = {row.key: order for order, row in found}

    def document_changed(self, key: Key, arrival: int, document: Document | None) -> None:
        """Take one document as it is now, None if it is gone."""
        if self._error is not None:
            return
        try:
            is_shown = self._replace(key, arrival, document)
        except MinimongoError as error:
            # Told to whoever reads next; the connection must not suffer from it.
            self._error = error
            is_shown = True
        if is_shown:
            self._on_change()

    def _replace(self, key: Key, arrival: int, document: Document | None) -> bool:
        """Put a document into its place; tells whether the result may be another one now."""
        order = None if document is None else self._selection.order_of(document, arrival)
        former_order = self._orders_by_key.pop(key, None)
        former = None if former_order is None else self._take_out(former_order)
        if order is None or document is None:
            return former is not None
        row = self._selection.row_of(key, document, former)
        self._put_in(order, row)
        return row is not former or order != former_order

    def rows(self) -> list[Row]:
        """Return the result.

        Raises:
            MinimongoError: If the query did not fit a document that came later.
        """
        if self._error is not None:
            raise self._error
        start, limit = self._selection.skip, self._selection.limit
        return self._rows[start : None if limit is None else start + limit]

    def _take_out(self, order: _Order) -> Row:
        index = bisect_left(self._orders, order)
        del self._orders[index]
        return self._rows.pop(index)

    def _put_in(self, order: _Order, row: Row) -> None:
        index = bisect_left(self._orders, order)
        self._orders.insert(index, order)
        self._rows.insert(index, row)
        self._orders_by_key[row.key] = order


class ChangeReader:
    """What one reader saw last of an observer's result."""

    __slots__ = ("_observer", "_seen")

    def __init__(self, observer: Observer) -> None:
        """Begin with an empty result."""
        self._observer = observer
        self._seen: list[Row] = []

    def read(self) -> list[Change]:
        """Return the steps from what was seen last to the present result."""
        rows = self._observer.rows()
        changes = difference(self._seen, rows)
        self._seen = rows
        return changes


def _first(pair: tuple[_Order, Row]) -> _Order:
    return pair[0]

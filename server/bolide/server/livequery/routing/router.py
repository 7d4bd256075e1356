"""The router: which live queries a change can affect.

A query can be affected by a change of a document that it holds, or of one that matches it now. The
first are known by the document's id, the second by an index: each query stands under one conjunct
of its selector, and the fields of the document lead to it. A query without a conjunct that can be
indexed is asked about every change, and one that has just missed some takes every change too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.branches import Lookup
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.predicates import (
    Conjunct,
    Equality,
    Predicate,
    Range,
    conjuncts,
    match_key,
    order_key,
    values_at,
)
from bolide.core.values import UNDEFINED, Document
from bolide.server.livequery.routing.interest import Interest, Paths, as_changed
from bolide.server.livequery.routing.intervals import Interval, Intervals
from bolide.server.stores.base import Change, ChangeKind

__all__ = ["PredicateIndex", "Router"]

_Item = TypeVar("_Item")

_Found: TypeAlias = dict[_Item, None]
"""A set that keeps its order, so that the same changes are always told in the same order."""

# What a range is taken to let through, where a value that one in n queries ask for lets 1/n.
_BREADTH_OF_RANGE: Final = {1: 1.5, 2: 1.25}

# Applications set the same few paths again and again; names that are data make many.
_MOST_KINDS_OF_UPDATES: Final = 1000


class Router(Generic[_Item]):
    """Finds the items, which are live queries, that changes can affect."""

    def __init__(self) -> None:
        """Begin without items."""
        self._collections: dict[str, _Collection[_Item]] = {}
        self._homes: dict[_Item, _Collection[_Item]] = {}

    def add(
        self,
        item: _Item,
        collection: str,
        selector: Mapping[str, Any],
        *,
        leaves_matter: bool = False,
        interest: Interest | None = None,
    ) -> Conjunct | None:
        """Route changes to an item from now on.

        Args:
            item: Not added before.
            collection: Name of its collection.
            selector: A selector that compiles.
            leaves_matter: A document that stops matching affects it even if it does not hold it.
            interest: What it looks at; None: everything.

        Returns:
            The conjunct that it is indexed under; None: it gets every change.
        """
        home = self._collections.setdefault(collection, _Collection())
        self._homes[item] = home
        conjunct = home.add(item, selector, leaves_matter=leaves_matter)
        home.look(item, None if leaves_matter else interest)
        return conjunct

    def remove(self, item: _Item) -> None:
        """Route nothing more to an item; it holds nothing any more. Harmless a second time."""
        home = self._homes.pop(item, None)
        if home is not None:
            home.remove(item)

    def hold(self, item: _Item, id: Key) -> None:
        """Note that an item has a document in its result; harmless a second time.

        Args:
            item: Added before, otherwise nothing happens.
            id: Key of the document's ``_id``.
        """
        home = self._homes.get(item)
        if home is not None:
            home.hold(item, id)

    def drop(self, item: _Item, id: Key) -> None:
        """Note that a document left an item's result; harmless a second time."""
        home = self._homes.get(item)
        if home is not None:
            home.drop(item, id)

    def take_all(self, item: _Item) -> None:
        """Route every change of its collection to an item, until :meth:`take_some`."""
        home = self._homes.get(item)
        if home is not None:
            home.taking_all[item] = None

    def take_some(self, item: _Item) -> None:
        """Route to an item only what can affect it; what it holds has been told."""
        home = self._homes.get(item)
        if home is not None:
            home.taking_all.pop(item, None)

    def is_affected(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Tell whether an update may concern an item; what was routed before must be noted.

        Args:
            collection: Name of the collection.
            id: The document's ``_id``.
            paths: What was set, removed or cut in it.
        """
        home = self._collections.get(collection)
        return home is not None and home.is_affected(key_of(id), tuple(paths))

    def route(self, changes: Iterable[Change]) -> Iterator[tuple[_Item, Sequence[Change], Change]]:
        """Distribute the changes of one batch.

        Yields:
            An item, the changes that can affect it, and the last one of its collection.
        """
        by_collection: dict[str, list[Change]] = {}
        for change in changes:
            by_collection.setdefault(change.collection, []).append(change)
        for name, group in by_collection.items():
            home = self._collections.get(name)
            if home is not None:
                for item, routed in home.route(group).items():
                    yield item, routed, group[-1]


class _Collection(Generic[_Item]):
    """The items of one collection.

    Attributes:
        taking_all: Those that get every change for now.
    """

    def __init__(self) -> None:
        self.taking_all: _Found[_Item] = {}
        self._followed: PredicateIndex[_Item] = PredicateIndex()
        self._watched: PredicateIndex[_Item] = PredicateIndex()
        # One holder stands alone, several in a set: most documents are in one result.
        self._holder: dict[Key, _Item] = {}
        self._holders: dict[Key, _Found[_Item]] = {}
        self._held: dict[_Item, dict[Key, None]] = {}
        self._interests: dict[_Item, Interest] = {}
        self._asked = Paths()
        # Items that look at everything.
        self._curious: _Found[_Item] = {}
        # What was set -> whether it is asked for by somebody; the same is set again and again.
        self._is_asked: dict[tuple[str, ...], bool] = {}

    def add(
        self, item: _Item, selector: Mapping[str, Any], *, leaves_matter: bool
    ) -> Conjunct | None:
        conjunct = (self._watched if leaves_matter else self._followed).add(item, selector)
        if conjunct is not None:
            self._held[item] = {}
        return conjunct

    def remove(self, item: _Item) -> None:
        self._followed.remove(item)
        self._watched.remove(item)
        self.taking_all.pop(item, None)
        self._curious.pop(item, None)
        interest = self._interests.pop(item, None)
        if interest is not None:
            self._asked.remove(interest.asked)
            self._is_asked.clear()
        for id in self._held.pop(item, ()):
            self._let_go(item, id)

    def look(self, item: _Item, interest: Interest | None) -> None:
        # What it holds is not noted if it gets every change.
        if interest is None or item not in self._held:
            self._curious[item] = None
        else:
            self._interests[item] = interest
            self._asked.add(interest.asked)
            self._is_asked.clear()

    def is_affected(self, key: Key, paths: tuple[str, ...]) -> bool:
        if self._curious or self.taking_all:
            return True
        is_asked = self._is_asked.get(paths)
        if is_asked is None:
            if len(self._is_asked) >= _MOST_KINDS_OF_UPDATES:
                self._is_asked.clear()
            is_asked = self._is_asked[paths] = self._asked.see(as_changed(paths))
        if is_asked:
            return True
        holder = self._holder.get(key)
        holders = self._holders.get(key) if holder is None else (holder,)
        if not holders:
            return False
        changed = as_changed(paths)
        return any(self._interests[item].is_in(changed) for item in holders)

    def hold(self, item: _Item, id: Key) -> None:
        held = self._held.get(item)
        # Who gets every change needs no note.
        if held is None or id in held:
            return
        held[id] = None
        if id in self._holders:
            self._holders[id][item] = None
        elif id in self._holder:
            self._holders[id] = {self._holder.pop(id): None, item: None}
        else:
            self._holder[id] = item

    def drop(self, item: _Item, id: Key) -> None:
        held = self._held.get(item)
        if held is not None and id in held:
            del held[id]
            self._let_go(item, id)

    def _let_go(self, item: _Item, id: Key) -> None:
        several = self._holders.get(id)
        if several is None:
            del self._holder[id]
            return
        del several[item]
        if len(several) == 1:
            (self._holder[id],) = several
            del self._holders[id]

    def route(self, changes: Sequence[Change]) -> dict[_Item, Sequence[Change]]:
        routed: dict[_Item, list[Change]] = {}
        # What a change did to an item is noted only after the batch.
        earlier: dict[Key, _Found[_Item]] = {}
        for change in changes:
            key = key_of(change.id)
            found = self._affected(change, key)
            before = earlier.get(key)
            if before is not None:
                found.update(before)
            if found:
                earlier[key] = found
                for item in found:
                    routed.setdefault(item, []).append(change)
        result: dict[_Item, Sequence[Change]] = {**routed}
        result.update(dict.fromkeys(self.taking_all, changes))
        return result

    def _affected(self, change: Change, key: Key) -> _Found[_Item]:
        found: _Found[_Item] = {}
        if change.kind is ChangeKind.COLLECTION_LOST:
            found.update(dict.fromkeys(self._followed))
            found.update(dict.fromkeys(self._watched))
            return found
        holder = self._holder.get(key)
        if holder is not None:
            found[holder] = None
        elif key in self._holders:
            found.update(self._holders[key])
        self._followed.find(change.after, found)
        if self._watched:
            self._add_watching(change, found)
        return found

    def _add_watching(self, change: Change, found: _Found[_Item]) -> None:
        if change.before is None and change.kind is not ChangeKind.INSERT:
            found.update(dict.fromkeys(self._watched))
            return
        self._watched.find(change.before, found)
        self._watched.find(change.after, found)


class PredicateIndex(Generic[_Item]):
    """Finds the items whose selector a document may match.

    An item stands under the conjunct that lets the fewest documents through, as far as can be told:
    under a path where the items ask for many different values. A value is preferred to a range.
    """

    def __init__(self) -> None:
        """Begin without items."""
        self._paths: dict[str, _Path[_Item]] = {}
        self._rest: _Found[_Item] = {}
        self._conjuncts: dict[_Item, tuple[list[Conjunct], Conjunct | None]] = {}
        # Path -> key -> how many items ask for it, in whichever of their conjuncts.
        self._asked: dict[str, dict[Key, int]] = {}

    def __len__(self) -> int:
        return len(self._conjuncts)

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._conjuncts)

    def __contains__(self, item: object) -> bool:
        return item in self._conjuncts

    def add(self, item: _Item, selector: Mapping[str, Any]) -> Conjunct | None:
        """Add an item.

        Args:
            item: Not added before.
            selector: A selector that compiles.

        Returns:
            The conjunct that it is found by; None: every document finds it.
        """
        offered = conjuncts(selector)
        self._count(offered, 1)
        chosen = min(offered, key=self._breadth, default=None)
        self._conjuncts[item] = (offered, chosen)
        if chosen is None:
            self._rest[item] = None
        for predicate in chosen or ():
            path = self._paths.get(predicate.path)
            if path is None:
                path = self._paths[predicate.path] = _Path(predicate.path)
            path.add(item, predicate)
        return chosen

    def remove(self, item: _Item) -> None:
        """Take an item away; harmless if it is not there."""
        known = self._conjuncts.pop(item, None)
        if known is None:
            return
        offered, chosen = known
        self._count(offered, -1)
        self._rest.pop(item, None)
        for predicate in chosen or ():
            path = self._paths[predicate.path]
            path.remove(item, predicate)
            if not path:
                del self._paths[predicate.path]

    def find(self, document: Document | None, found: _Found[_Item]) -> None:
        """Add the items that a document may match to those found before.

        Args:
            document: None is found by the items only that every document finds.
            found: Takes them.
        """
        if self._rest:
            found.update(self._rest)
        if document is None:
            return
        for path in self._paths.values():
            path.find(document, found)

    def _count(self, offered: Iterable[Conjunct], step: int) -> None:
        for conjunct in offered:
            for predicate in conjunct:
                if not isinstance(predicate, Equality):
                    continue
                asked = self._asked.setdefault(predicate.path, {})
                count = asked.get(predicate.key, 0) + step
                if count:
                    asked[predicate.key] = count
                else:
                    del asked[predicate.key]
            for predicate in conjunct if step < 0 else ():
                if not self._asked.get(predicate.path, True):
                    del self._asked[predicate.path]

    def _breadth(self, conjunct: Conjunct) -> float:
        """Guess which part of the documents a conjunct lets through, in units of its own."""
        return sum(
            1 / len(self._asked[predicate.path])
            if isinstance(predicate, Equality)
            else _BREADTH_OF_RANGE[(predicate.low is not None) + (predicate.high is not None)]
            for predicate in conjunct
        )


class _Path(Generic[_Item]):
    """The items that are found by the values at one path."""

    def __init__(self, path: str) -> None:
        self._lookup = Lookup(path)
        self._name = path if len(self._lookup.names) == 1 else None
        self._equal: dict[Key, _Found[_Item]] = {}
        # How many keys are those of documents and arrays, which cost most to make.
        self._containers = 0
        self._ranges: dict[str, Intervals[_Item]] = {}
        self._intervals: dict[tuple[_Item, Range], Interval[_Item]] = {}

    def __bool__(self) -> bool:
        return bool(self._equal or self._ranges)

    def add(self, item: _Item, predicate: Predicate) -> None:
        if isinstance(predicate, Range):
            intervals = self._ranges.setdefault(predicate.kind, Intervals())
            interval = intervals.add(item, predicate.low, predicate.high)
            self._intervals[item, predicate] = interval
            return
        items = self._equal.get(predicate.key)
        if items is None:
            items = self._equal[predicate.key] = {}
            self._containers += _is_of_container(predicate.key)
        items[item] = None

    def remove(self, item: _Item, predicate: Predicate) -> None:
        if isinstance(predicate, Range):
            intervals = self._ranges[predicate.kind]
            intervals.remove(self._intervals.pop((item, predicate)))
            if not intervals:
                del self._ranges[predicate.kind]
            return
        items = self._equal[predicate.key]
        del items[item]
        if not items:
            del self._equal[predicate.key]
            self._containers -= _is_of_container(predicate.key)

    def find(self, document: Document, found: _Found[_Item]) -> None:
        if self._name is not None:
            value = document.get(self._name, UNDEFINED)
            # Most values are texts, and stand for themselves.
            if type(value) is str and not self._ranges:
                items = self._equal.get(value)
                if items is not None:
                    found.update(items)
                return
            if not is_array(value):
                self._find_value(value, found)
                return
        self._find_values(values_at(self._lookup, document), found)

    def _find_value(self, value: Any, found: _Found[_Item]) -> None:
        if self._equal and (self._containers or not is_document(value)):
            items = self._equal.get(match_key(value))
            if items is not None:
                found.update(items)
        if self._ranges:
            place = order_key(value)
            intervals = None if place is None else self._ranges.get(place[0])
            if place is not None and intervals is not None:
                for item in intervals.find(place[1], place[1]):
                    found[item] = None

    def _find_values(self, values: Iterable[Any], found: _Found[_Item]) -> None:
        """Find by several values: one may be above the lower end of a range, another below."""
        spans: dict[str, tuple[Any, Any]] = {}
        for value in values:
            if not (is_array(value) or is_document(value)) or self._containers:
                found.update(self._equal.get(match_key(value), {}))
            place = order_key(value) if self._ranges else None
            if place is not None:
                kind, key = place
                least, greatest = spans.get(kind, (key, key))
                spans[kind] = (min(least, key), max(greatest, key))
        for kind, (least, greatest) in spans.items():
            intervals = self._ranges.get(kind)
            if intervals is not None:
                found.update(dict.fromkeys(intervals.find(least, greatest)))


def _is_of_container(key: Key) -> bool:
    return isinstance(key, tuple) and key[0] in ("document", "array")

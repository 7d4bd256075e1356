"""Documents as they are at the feed's position, so that an update need not read the rest of them.

What came by the feed is kept up to date by every later change. A reading is newer than the feed, so
what it found counts only for changes after it.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeAlias

import bson
import msgspec
from bson import Int64, ObjectId

from bolide.core.bson_codec import BSON_CODEC_OPTIONS
from bolide.core.keys import Key, key_of
from bolide.core.values import Document

__all__ = ["CACHE_BYTES", "DocumentCache", "DocumentKey", "Reading"]

CACHE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of BSON of all documents that are kept."""

DocumentKey: TypeAlias = tuple[str, Key]
"""Name of the collection, key of the ``_id``."""


# A document holds no object that holds the entry: the collector need not look.
class _Entry(msgspec.Struct, gc=False):
    document: Document
    size: int
    # Of the reading that found it; None: it is as it is at the feed's position.
    read_at: int | None


class DocumentCache:
    """Documents of declared collections; those that were needed longest ago are forgotten.

    Args:
        max_bytes: Most bytes of BSON.

    Attributes:
        size: Bytes of BSON of all documents.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        """Begin without documents."""
        self.size = 0
        self._max_bytes = max_bytes
        self._entries: OrderedDict[DocumentKey, _Entry] = OrderedDict()
        self._readings: list[Reading] = []

    def __len__(self) -> int:
        return len(self._entries)

    def before(self, key: DocumentKey, position: int) -> Document | None:
        """Return a document as it is before a change; None if that is not known.

        Args:
            key: Which document.
            position: Of the change, the next one of this document.
        """
        entry = self._entries.get(key)
        if entry is None or (entry.read_at is not None and entry.read_at >= position):
            return None
        self._entries.move_to_end(key)
        return entry.document

    def put(
        self,
        key: DocumentKey,
        document: Document,
        *,
        size: int | None = None,
        only_set: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a document as it is after a change that the feed told of.

        Args:
            key: Which document.
            document: As it is now.
            size: Bytes of BSON, if they are known.
            only_set: What is different from the document that is kept, path -> value; None if that
                is not known.
        """
        if only_set is not None:
            former = self._entries.get(key)
            growth = None if former is None else _growth(former.document, only_set)
            size = None if former is None or growth is None else former.size + growth
        self._put(key, document, None, size)

    @contextmanager
    def reading(self) -> Generator["Reading"]:
        """Begin to read documents that are to be kept."""
        reading = Reading(self)
        self._readings.append(reading)
        try:
            yield reading
        finally:
            self._readings.remove(reading)

    def add(self, key: DocumentKey, document: Document, position: int) -> None:
        """Keep a document that was read, unless there is one already.

        Args:
            key: Which document.
            document: As it was found.
            position: Of the reading.
        """
        if key not in self._entries:
            self._put(key, document, position)

    def pass_over(self, key: DocumentKey) -> None:
        """Take note of a change of a document that is not kept, and will not be for it."""
        self._forget(key)
        for reading in self._readings:
            reading.outdated.add(key)

    def remove(self, key: DocumentKey) -> None:
        """Forget a document that was deleted: only an insert can follow."""
        self._forget(key)

    def remove_collection(self, collection: str) -> None:
        """Forget all documents of a collection."""
        for key in [key for key in self._entries if key[0] == collection]:
            self._forget(key)
        self._end_readings()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0
        self._end_readings()

    def _put(
        self, key: DocumentKey, document: Document, read_at: int | None, size: int | None = None
    ) -> None:
        if size is None:
            size = _size(document)
        self._forget(key)
        self._entries[key] = _Entry(document, size, read_at)
        self.size += size
        while self.size > self._max_bytes:
            self.pass_over(next(iter(self._entries)))

    def _end_readings(self) -> None:
        for reading in self._readings:
            reading.is_outdated = True

    def _forget(self, key: DocumentKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size


class Reading:
    """Documents on their way: what is forgotten meanwhile may have changed, and is not kept.

    Attributes:
        outdated: What was forgotten.
        is_outdated: Everything was.
    """

    __slots__ = ("_cache", "is_outdated", "outdated")

    def __init__(self, cache: DocumentCache) -> None:
        """Begin with nothing forgotten."""
        self.outdated: set[DocumentKey] = set()
        self.is_outdated = False
        self._cache = cache

    def add(self, collection: str, documents: Iterable[Document], position: int) -> None:
        """Keep what was found, as far as it is as it was.

        Args:
            collection: Its collection.
            documents: As they were found.
            position: Of the reading.
        """
        for document in () if self.is_outdated else documents:
            key = (collection, key_of(document["_id"]))
            if key not in self.outdated:
                self._cache.add(key, document, position)


# Values of one of these types are of one size.
_OF_ONE_SIZE: Final = frozenset({bool, int, float, type(None), datetime, Int64, ObjectId})


def _growth(document: Document, only_set: Mapping[str, Any]) -> int | None:
    """Return by how many bytes an update makes a document larger; None if it must be measured."""
    growth = 0
    for path, value in only_set.items():
        former = document.get(path)
        if type(former) is not type(value) or path not in document:
            return None
        if isinstance(former, str) and isinstance(value, str):
            if not (former.isascii() and value.isascii()):
                return None
            growth += len(value) - len(former)
        elif type(former) not in _OF_ONE_SIZE:
            return None
    return growth


# What BSON decoded, encodes again.
def _size(document: Any) -> int:
    return len(bson.encode(document, codec_options=BSON_CODEC_OPTIONS))

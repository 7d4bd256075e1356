"""Documents as they are at the feed's position, so that an update need not read the rest of them.

What came by the feed is kept up to date by every later change. A reading is newer than the feed, so
what it found counts only for changes after it.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import bson

from bolide.core.bson_codec import BSON_CODEC_OPTIONS
from bolide.core.keys import Key, key_of
from bolide.core.values import Document

__all__ = ["CACHE_BYTES", "DocumentCache", "DocumentKey", "Reading"]

CACHE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of BSON of all documents that are kept."""

DocumentKey: TypeAlias = tuple[str, Key]
"""Name of the collection, key of the ``_id``."""


@dataclass(slots=True)
class _Entry:
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

    def put(self, key: DocumentKey, document: Document) -> None:
        """Keep a document as it is after a change that the feed told of."""
        self._put(key, document, None)

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

    def _put(self, key: DocumentKey, document: Document, read_at: int | None) -> None:
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


# What BSON decoded, encodes again.
def _size(document: Any) -> int:
    return len(bson.encode(document, codec_options=BSON_CODEC_OPTIONS))

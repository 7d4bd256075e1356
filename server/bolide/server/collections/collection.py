"""The collection: an app's only door to its documents.

Names, arguments and results are those of PyMongo's asynchronous collections. What passes is checked
against the running invocation: without a decision nothing is read or written.
"""

import secrets
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from bson import ObjectId
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from bolide.core.errors import StateError
from bolide.core.values import Document
from bolide.server.access.gateway import Gateway
from bolide.server.access.invocation import current
from bolide.server.collections.cursor import ChildFunction, Cursor, children_of
from bolide.server.collections.specification import (
    ProjectionSpec,
    SortSpec,
    copied,
    count_of,
    document_of,
    projection_of,
    selector_of,
    sort_of,
)
from bolide.server.logging.explained import Explained
from bolide.server.random_ids import random_id
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    FindAndModify,
    IndexSpec,
    Insert,
    Query,
    Receipt,
    Update,
)

__all__ = ["Collection", "NoRawCollection"]


@runtime_checkable
class _RawStore(Protocol):
    # A PyMongo collection; the driver is imported only by its store.
    def raw_collection(self, name: str) -> Any: ...


class NoRawCollection(Explained, StateError):
    """The store has no PyMongo collections."""

    code: ClassVar[str] = "no-raw-collection"

    def __str__(self) -> str:
        """Say which store has."""
        return "Only a mongodb:// store has .raw; this one is embedded: use the collection itself."


class Collection:
    """Documents of one kind; ``app.collection(name)`` makes it.

    Selectors, modifiers, sort orders and projections are MongoDB's. Documents that are returned
    are the caller's own.

    Attributes:
        name: Its name, in the store and in clients.
        id_kind: What ``_id`` an insert draws: ``"random"``, 17 characters, or ``"oid"``.
        strategy: How sessions merge what several subscriptions publish of it.
        access: The field that holds the access scope; None if it has none.
    """

    def __init__(
        self,
        gateway: Gateway,
        name: str,
        id_kind: Literal["random", "oid"] = "random",
        strategy: PublicationStrategy = PublicationStrategy.SERVER_MERGE,
        access: str | None = None,
    ) -> None:
        """Make a collection; apps call ``app.collection``."""
        self._gateway = gateway
        self.name = name
        self.id_kind: Literal["random", "oid"] = id_kind
        self.strategy = strategy
        self.access = access
        # No scope is open until the gateway says which.
        self._filter = None if access is None else AccessFilter(access)

    def find(
        self,
        selector: Mapping[str, Any] | None = None,
        projection: ProjectionSpec | None = None,
        *,
        sort: SortSpec | None = None,
        skip: int = 0,
        limit: int = 0,
        children: Sequence[ChildFunction] | None = None,
    ) -> Cursor:
        """Return a cursor; nothing is read yet.

        Args:
            selector: Which documents; None is all.
            projection: Which fields; None is all.
            sort: In which order.
            skip: Documents left out at the start.
            limit: Most documents; 0 is no limit.
            children: What is published with each document: functions that are given the document
                as it is published, read-only, and return a cursor or None. One is called again
                when a field changed that it read. They matter only to publications.

        Raises:
            TypeError: If ``children`` is not a list of plain functions.
        """
        query = self._query(selector, projection, sort, skip, limit)
        return Cursor(self._gateway, query, children_of(children))

    async def find_one(
        self,
        selector: Mapping[str, Any] | str | ObjectId | None = None,
        projection: ProjectionSpec | None = None,
        *,
        sort: SortSpec | None = None,
        skip: int = 0,
    ) -> Document | None:
        """Return the first document, None if there is none.

        Args:
            selector: Which documents; a string or ObjectId is an ``_id``.
            projection: Which fields.
            sort: In which order.
            skip: Documents left out at the start.
        """
        if isinstance(selector, (str, ObjectId)):
            selector = {"_id": selector}
        query = self._query(selector, projection, sort, skip, 1)
        documents = await self._gateway.read(query)
        return copied(documents[0]) if documents else None

    async def count_documents(
        self, selector: Mapping[str, Any], *, skip: int = 0, limit: int = 0
    ) -> int:
        """Count the documents that match."""
        return await self._gateway.count(self._query(selector, None, None, skip, limit))

    async def distinct(self, key: str, selector: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the different values at the path ``key``; array elements one by one."""
        found = await self._gateway.distinct(self._query(selector, None, None, 0, 0), key)
        return [copied(value) for value in found]

    async def insert_one(self, document: MutableMapping[str, Any]) -> InsertOneResult:
        """Insert a document; without ``_id`` it gets one, which is also set in ``document``.

        Raises:
            DuplicateKeyError: If a document with its ``_id``, or its key in a unique index, exists.
            AuthError: As every write: if it would leave the open access scopes.
        """
        inserted = self._with_id(document)
        await self._gateway.write(
            Insert(collection=self.name, documents=[inserted], access=self._filter)
        )
        return InsertOneResult(inserted["_id"], acknowledged=True)

    async def insert_many(
        self, documents: Iterable[MutableMapping[str, Any]], ordered: bool = True
    ) -> InsertManyResult:
        """Insert documents.

        Args:
            documents: As for :meth:`insert_one`; at least one.
            ordered: The first failure ends it; otherwise the others are still inserted.

        Raises:
            BulkWriteError: If some could not be inserted.
            TypeError: If there are none.
        """
        inserted = [self._with_id(document) for document in documents]
        if not inserted:
            raise TypeError("documents must be a non-empty list.")
        operation = Insert(
            collection=self.name, documents=inserted, ordered=ordered, access=self._filter
        )
        await self._gateway.write(operation)
        return InsertManyResult([document["_id"] for document in inserted], acknowledged=True)

    async def update_one(
        self,
        selector: Mapping[str, Any],
        modifier: Mapping[str, Any],
        upsert: bool = False,
        *,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
    ) -> UpdateResult:
        """Change the first document that matches.

        Args:
            selector: Which document.
            modifier: What changes: ``{"$set": ...}``.
            upsert: Insert one where none matches.
            array_filters: As in MongoDB; only a mongodb:// store has them.
        """
        changes = _modifier(modifier)
        return await self._update(selector, changes, upsert, array_filters=array_filters)

    async def update_many(
        self,
        selector: Mapping[str, Any],
        modifier: Mapping[str, Any],
        upsert: bool = False,
        *,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
    ) -> UpdateResult:
        """Change all documents that match; arguments as for :meth:`update_one`."""
        changes = _modifier(modifier)
        return await self._update(selector, changes, upsert, many=True, array_filters=array_filters)

    async def replace_one(
        self,
        selector: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
    ) -> UpdateResult:
        """Put another document in the place of the first that matches; its ``_id`` stays."""
        return await self._update(selector, _replacement(replacement), upsert)

    async def delete_one(self, selector: Mapping[str, Any]) -> DeleteResult:
        """Delete the first document that matches."""
        return await self._delete(selector, many=False)

    async def delete_many(self, selector: Mapping[str, Any]) -> DeleteResult:
        """Delete all documents that match; ``{}`` is all there are."""
        return await self._delete(selector, many=True)

    async def find_one_and_update(
        self,
        selector: Mapping[str, Any],
        modifier: Mapping[str, Any],
        projection: ProjectionSpec | None = None,
        sort: SortSpec | None = None,
        upsert: bool = False,
        return_document: bool = False,
    ) -> Document | None:
        """Change the first document in order and return it.

        Args:
            selector: Which documents.
            modifier: What changes.
            projection: Which fields are returned.
            sort: Which is first.
            upsert: Insert one where none matches.
            return_document: ``ReturnDocument.AFTER`` (True) returns it as it is afterwards.

        Returns:
            The document; None if none matched, except after an upsert that is to return it.
        """
        changes = _modifier(modifier)
        return await self._find_and_modify(
            selector, changes, projection, sort, upsert=upsert, return_after=return_document
        )

    async def find_one_and_replace(
        self,
        selector: Mapping[str, Any],
        replacement: Mapping[str, Any],
        projection: ProjectionSpec | None = None,
        sort: SortSpec | None = None,
        upsert: bool = False,
        return_document: bool = False,
    ) -> Document | None:
        """Replace the first document in order and return it; as :meth:`find_one_and_update`."""
        changes = _replacement(replacement)
        return await self._find_and_modify(
            selector, changes, projection, sort, upsert=upsert, return_after=return_document
        )

    async def find_one_and_delete(
        self,
        selector: Mapping[str, Any],
        projection: ProjectionSpec | None = None,
        sort: SortSpec | None = None,
    ) -> Document | None:
        """Delete the first document in order and return it."""
        return await self._find_and_modify(selector, None, projection, sort)

    async def create_index(
        self,
        keys: SortSpec,
        *,
        name: str = "",
        unique: bool = False,
        sparse: bool = False,
        expireAfterSeconds: int | None = None,
        partialFilterExpression: Mapping[str, Any] | None = None,
    ) -> str:
        """Make sure that an index exists.

        Args:
            keys: A path, or paths with 1 or -1. Indexes of text, of places and hashed ones are made
                with ``raw.create_index``.
            name: Its name; made from the keys as MongoDB does if empty.
            unique: Refuse a second document with the same key.
            sparse: Leave out documents that have none of the paths.
            expireAfterSeconds: Let documents go so long after the date at the path; MongoDB only.
            partialFilterExpression: Only documents that match are in it; MongoDB only.

        Returns:
            Its name.

        Raises:
            NeedsMongoDB: If the store is embedded and cannot do it.
            ValueError: If it is another kind of index.
        """
        spec = IndexSpec(
            keys=_index_keys(keys),
            name=name,
            unique=unique,
            sparse=sparse,
            expire_after_s=expireAfterSeconds,
            partial=partialFilterExpression and selector_of(partialFilterExpression),
        )
        return await self._gateway.create_index(self._whole, spec)

    async def drop_index(self, index_or_name: SortSpec) -> None:
        """Remove an index, by its name or its keys."""
        if not isinstance(index_or_name, str):
            pairs = sort_of(index_or_name)
            index_or_name = "_".join(f"{path}_{direction}" for path, direction in pairs)
        await self._gateway.drop_index(self._whole, index_or_name)

    # A PyMongo collection; the driver is imported only by its store.
    @property
    def raw(self) -> Any:
        """PyMongo's own collection, for what this class does not have.

        Live queries see what it writes, but ``updated`` does not wait for it.

        Raises:
            NoRawCollection: If the store is embedded.
            TrustedOnly: If the collection has access scopes and a handler asks.
        """
        self._gateway.check_whole(self._whole, "used the raw collection")
        store: object = self._gateway.store
        if not isinstance(store, _RawStore):
            raise NoRawCollection
        return store.raw_collection(self.name)

    @property
    def _whole(self) -> Query:
        return Query(collection=self.name, access=self._filter)

    def _query(
        self,
        selector: Mapping[str, Any] | None,
        projection: ProjectionSpec | None,
        sort: SortSpec | None,
        skip: int,
        limit: int,
    ) -> Query:
        return Query(
            collection=self.name,
            selector=selector_of(selector),
            sort=sort_of(sort),
            skip=count_of(skip, "skip"),
            limit=count_of(limit, "limit"),
            projection=projection_of(projection),
            access=self._filter,
        )

    async def _update(
        self,
        selector: Mapping[str, Any],
        modifier: Document,
        upsert: bool,
        *,
        many: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
    ) -> UpdateResult:
        matching = selector_of(selector)
        filters = array_filters and [selector_of(one) for one in array_filters]
        receipt = await self._gateway.write(
            Update(
                collection=self.name,
                selector=matching,
                modifier=modifier,
                many=many,
                upsert=upsert,
                upsert_id=self._upsert_id(upsert, matching, modifier),
                array_filters=filters,
                access=self._filter,
            )
        )
        return _update_result(receipt)

    async def _delete(self, selector: Mapping[str, Any], *, many: bool) -> DeleteResult:
        operation = Delete(
            collection=self.name,
            selector=selector_of(selector),
            many=many,
            access=self._filter,
        )
        receipt = await self._gateway.write(operation)
        return DeleteResult({"n": receipt.deleted, "ok": 1.0}, acknowledged=True)

    async def _find_and_modify(
        self,
        selector: Mapping[str, Any],
        modifier: Document | None,
        projection: ProjectionSpec | None,
        sort: SortSpec | None,
        *,
        upsert: bool = False,
        return_after: bool = False,
    ) -> Document | None:
        matching = selector_of(selector)
        receipt = await self._gateway.write(
            FindAndModify(
                collection=self.name,
                selector=matching,
                modifier=modifier,
                sort=sort_of(sort),
                projection=projection_of(projection),
                upsert=upsert,
                upsert_id=self._upsert_id(upsert, matching, modifier or {}),
                return_after=return_after,
                access=self._filter,
            )
        )
        return None if receipt.document is None else copied(receipt.document)

    def _with_id(self, document: MutableMapping[str, Any]) -> Document:
        normalized = document_of(document, "a document")
        if "_id" not in normalized:
            document["_id"] = self._new_id()
            normalized = {"_id": document["_id"], **normalized}
        return normalized

    def _upsert_id(
        self, upsert: bool, selector: Document, modifier: Document
    ) -> str | ObjectId | None:
        if not upsert or "_id" in selector or "_id" in modifier:
            return None
        return self._new_id()

    def _new_id(self) -> str | ObjectId:
        """Draw the id that a client's optimistic run of the same invocation draws."""
        invocation = current()
        if invocation is not None and invocation.random is not None:
            stream = invocation.random.stream(f"/collection/{self.name}")
            return ObjectId(stream.hex(24)) if self.id_kind == "oid" else stream.id()
        if self.id_kind == "oid":
            return ObjectId(secrets.token_bytes(12))
        return random_id()


def _index_keys(keys: SortSpec) -> tuple[tuple[str, int], ...]:
    try:
        return sort_of(keys)
    except ValueError as error:
        raise ValueError(
            f"{error} Indexes of other kinds are made with .raw.create_index, on MongoDB."
        ) from None


def _modifier(modifier: Mapping[str, Any]) -> Document:
    changes = document_of(modifier, "a modifier")
    if not changes or not all(name.startswith("$") for name in changes):
        raise ValueError("a modifier has only keys that begin with $, such as {'$set': {...}}.")
    return changes


def _replacement(replacement: Mapping[str, Any]) -> Document:
    document = document_of(replacement, "a replacement")
    if any(name.startswith("$") for name in document):
        raise ValueError("a replacement has no keys that begin with $: use update_one.")
    return document


def _update_result(receipt: Receipt) -> UpdateResult:
    raw: dict[str, Any] = {"n": receipt.matched, "nModified": receipt.modified, "ok": 1.0}
    if receipt.upserted_id is not None:
        raw |= {"n": 1, "upserted": receipt.upserted_id}
    return UpdateResult(raw, acknowledged=True)

"""Write operations as the driver's calls, in the order and with the answers of the store port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import with_id
from bolide.core.values import Document
from bolide.server.stores.access import AccessRefused, effective_selector, is_refused
from bolide.server.stores.base import (
    Delete,
    FindAndModify,
    Insert,
    Receipt,
    Update,
    WriteOperation,
)
from bolide.server.stores.bson_documents import encode, storable
from bolide.server.stores.mongo.codec import as_values
from bolide.server.stores.mongo.reading.queries import COLLATION, server_selector

__all__ = ["Writer"]

_BAD_VALUE: Final = 2
_ATTEMPTS: Final = 3
"""How often an upsert is begun anew because somebody inserted what it was to insert."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes in one session.

    Attributes:
        database: Where.
        session: With or without a transaction.
        now_ms: For documents that are made here, UTC milliseconds.
    """

    database: AsyncDatabase[Document]
    session: AsyncClientSession
    now_ms: int

    async def write(self, operation: WriteOperation) -> Receipt:
        """Apply an operation.

        Returns:
            A receipt without a position; its collections say whether something changed.

        Raises:
            PyMongoError: As the driver says it.
            AccessRefused: If it would leave the open access scopes.
        """
        if is_refused(operation):
            raise AccessRefused
        match operation:
            case Insert():
                return await self._insert(operation)
            case Update():
                return await self._update(operation)
            case Delete():
                return await self._delete(operation)
            case FindAndModify():
                return await self._find_and_modify(operation)
            case _:
                assert_never(operation)

    async def _insert(self, operation: Insert) -> Receipt:
        collection = self._collection(operation.collection)
        documents = [storable(document) for document in operation.documents]
        for document in documents:
            if isinstance(document.get("_id"), list) or "_id" not in document:
                raise WriteError("The document has no _id, or one that cannot be one.", 53)
        ids = tuple(document["_id"] for document in documents)
        if len(documents) == 1:
            try:
                await collection.insert_one(documents[0], session=self.session)
            except WriteError:
                encode(documents[0])  # which says it better if it is too large
                raise
        else:
            await collection.insert_many(documents, ordered=operation.ordered, session=self.session)
        return _receipt(operation, bool(ids), inserted_ids=ids)

    async def _delete(self, operation: Delete) -> Receipt:
        collection = self._collection(operation.collection)
        delete = collection.delete_many if operation.many else collection.delete_one
        done = await delete(_selector(operation), session=self.session, collation=COLLATION)
        count = done.deleted_count
        return _receipt(operation, count > 0, deleted=count)

    async def _update(self, operation: Update) -> Receipt:
        modifier = storable(operation.modifier)
        replaces = _is_replacement(modifier)
        if operation.many and replaces:
            raise OperationFailure(
                "An update of many documents needs a modifier such as $set, not a replacement.", 9
            )
        makes_here = operation.upsert and _must_be_made_here(operation, modifier)
        upserts = operation.upsert and not makes_here
        if upserts:
            modifier = _with_upsert_id(operation, modifier)
        collection = self._collection(operation.collection)
        selector = _selector(operation)
        for attempt in range(_ATTEMPTS):
            if replaces:
                done = await collection.replace_one(
                    selector, modifier, upsert=upserts, session=self.session, collation=COLLATION
                )
            else:
                update = collection.update_many if operation.many else collection.update_one
                done = await update(
                    selector, modifier, upsert=upserts, session=self.session,
                    array_filters=_array_filters(operation), collation=COLLATION,
                )  # fmt: skip
            upserted_id = done.upserted_id
            if done.matched_count or upserted_id is not None or not makes_here:
                return _receipt(
                    operation,
                    done.modified_count > 0 or upserted_id is not None,
                    matched=done.matched_count,
                    modified=done.modified_count,
                    upserted_id=upserted_id,
                )
            made = await self._insert_made(operation, modifier, attempt)
            if made is not None:
                return _receipt(operation, True, upserted_id=made["_id"])
        raise AssertionError

    async def _find_and_modify(self, operation: FindAndModify) -> Receipt:
        collection = self._collection(operation.collection)
        options: dict[str, Any] = {
            "filter": _selector(operation),
            "projection": None if operation.projection is None else dict(operation.projection),
            "sort": with_id(operation.sort) if operation.sort else None,
            "session": self.session,
            "collation": COLLATION,
        }
        if operation.modifier is None:
            found = await collection.find_one_and_delete(**options)
            if found is None:
                return Receipt()
            return _receipt(operation, True, matched=1, deleted=1, document=as_values(found))
        modifier = storable(operation.modifier)
        options["return_document"] = operation.return_after
        for attempt in range(_ATTEMPTS):
            if _is_replacement(modifier):
                found = await collection.find_one_and_replace(replacement=modifier, **options)
            else:
                found = await collection.find_one_and_update(update=modifier, **options)
            if found is not None:
                # The server does not say whether it changed anything.
                return _receipt(operation, True, matched=1, modified=1, document=as_values(found))
            if not operation.upsert:
                return Receipt()
            made = await self._insert_made(operation, modifier, attempt)
            if made is not None:
                return _receipt(
                    operation,
                    True,
                    upserted_id=made["_id"],
                    document=self._projected(operation, made) if operation.return_after else None,
                )
        raise AssertionError

    async def _insert_made(
        self, operation: Update | FindAndModify, modifier: Document, attempt: int
    ) -> Document | None:
        """Insert what an upsert makes; None if somebody inserted it just now.

        Raises:
            AccessRefused: If it would be outside the open access scopes.
        """
        made = _made(operation, modifier, self.now_ms)
        upsert_id = ObjectId() if operation.upsert_id is None else operation.upsert_id
        document = {"_id": upsert_id, **made}
        if operation.access is not None and not operation.access.admits(document):
            raise AccessRefused
        collection = self._collection(operation.collection)
        try:
            await collection.insert_one(document, session=self.session)
        except DuplicateKeyError:
            # A transaction is over with that; and what is found taken again does not match.
            if self.session.in_transaction or attempt == _ATTEMPTS - 1:
                raise
            return None
        return document

    def _projected(self, operation: FindAndModify, document: Document) -> Document:
        projection = None if operation.projection is None else dict(operation.projection)
        projected: Document = Projection(projection).apply(document)
        return projected

    def _collection(self, name: str) -> AsyncCollection[Document]:
        return self.database[name]


def _selector(operation: Update | Delete | FindAndModify) -> Document:
    return server_selector(effective_selector(operation))


def _array_filters(operation: Update) -> list[Document] | None:
    filters = operation.array_filters
    return None if filters is None else [storable(one) for one in filters]


def _is_replacement(modifier: Mapping[str, Any]) -> bool:
    return not any(name.startswith("$") for name in modifier)


def _must_be_made_here(operation: Update, modifier: Document) -> bool:
    """Tell whether the server would make another document of an upsert than it should.

    It draws an ObjectId for a replacement without an ``_id``, and it does not look at access.
    """
    if operation.access is not None:
        return True
    return _is_replacement(modifier) and "_id" not in _made(operation, modifier, 0)


def _with_upsert_id(operation: Update, modifier: Document) -> Document:
    """Return a modifier that gives a document that is made its ``_id``."""
    if operation.upsert_id is None or _is_replacement(modifier):
        return modifier
    if "_id" in _made(operation, modifier, 0):
        return modifier
    given = modifier.get("$setOnInsert", {})
    return {**modifier, "$setOnInsert": {**given, "_id": operation.upsert_id}}


def _made(operation: Update | FindAndModify, modifier: Document, now_ms: int) -> Document:
    """Return what the selector and the modifier of an upsert make together.

    Raises:
        OperationFailure: If they make nothing.
    """
    try:
        return storable(upsert_document(operation.selector, Modifier(modifier), now_ms=now_ms))
    except MinimongoError as error:
        raise OperationFailure(str(error), _BAD_VALUE) from error


def _receipt(operation: WriteOperation, has_changed: bool, **results: Any) -> Receipt:
    collections = frozenset({operation.collection} if has_changed else ())
    return Receipt(collections=collections, **results)

"""A secret that the nodes share through their store, and that Redis does not know."""

import secrets
from contextlib import suppress
from typing import Final

from bson import Binary
from pymongo.errors import DuplicateKeyError

from bolide.core.errors import ConfigurationError
from bolide.server.stores.base import Insert, Query, Store
from bolide.server.stores.own_collections import SECRETS

__all__ = ["shared_secret"]

_ID: Final = "redis"
_BYTES: Final = 32


async def shared_secret(store: Store) -> bytes:
    """Return the secret of the nodes on a store; the first one makes it.

    Args:
        store: Open.

    Raises:
        ConfigurationError: If what is in its place is none.
    """
    query = Query(collection=SECRETS, selector={"_id": _ID}, limit=1)
    if not (await store.read(query)).documents:
        made = {"_id": _ID, "secret": Binary(secrets.token_bytes(_BYTES))}
        with suppress(DuplicateKeyError):  # another node was faster
            await store.write(Insert(collection=SECRETS, documents=[made]))
    found = [document.get("secret") for document in (await store.read(query)).documents]
    if len(found) == 1 and isinstance(found[0], bytes) and len(found[0]) == _BYTES:
        return bytes(found[0])
    expected = f'one whose {SECRETS} holds 32 bytes in "secret": remove its document "{_ID}"'
    raise ConfigurationError("store", "(hidden)", expected)

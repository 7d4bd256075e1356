"""The role of a node: what it may do in its database, and nothing else.

A stream of the whole database is opened only for who may read all of it (MongoDB has no narrower
right), so other data belong into another database. Writing is for the collections of the app and
Bolide's own. A node may not drop, rename or change a collection: any of these takes away a
validator. (docs/design/mongodb.md, Rights)
"""

from collections.abc import Iterable

# A command of MongoDB.
from typing import Any, Final

from bolide.server.stores.own_collections import OWN_COLLECTIONS

__all__ = ["ROLE", "node_role"]

ROLE: Final = "bolideNode"
"""Its name, in the database itself."""

_IN_ALL: Final = ("changeStream", "find", "listCollections", "listIndexes")
_IN_EACH: Final = ("createCollection", "createIndex", "dropIndex", "insert", "remove", "update")


def node_role(database: str, collections: Iterable[str]) -> dict[str, Any]:
    """Return the role of the nodes of an app, as mongosh's ``db.createRole`` takes it.

    Args:
        database: Name of the database.
        collections: Names of the app's collections; Bolide's own are added.
    """
    names = sorted({*collections, *OWN_COLLECTIONS})
    privileges = [_privilege(database, "", _IN_ALL)]
    privileges += [_privilege(database, name, _IN_EACH) for name in names]
    return {"role": ROLE, "privileges": privileges, "roles": []}


def _privilege(database: str, collection: str, actions: Iterable[str]) -> dict[str, Any]:
    return {"resource": {"db": database, "collection": collection}, "actions": list(actions)}

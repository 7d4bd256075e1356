"""The commands that give a node its rights in MongoDB and no others."""

import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from bolide.server.stores.mongo.connecting.connection import database_name
from bolide.server.stores.mongo.connecting.roles import ROLE, node_role

__all__ = ["mongo_role_lines"]

_USER: Final = "bolide"
_SUBJECT: Final = "CN=node-1,OU=bolide-node,O=example"


def mongo_role_lines(store: str, collections: Iterable[str]) -> Iterator[str]:
    """Yield a script for mongosh, one line each; no password and no host is in it.

    Args:
        store: The setting; nothing but the name of the database is taken from it.
        collections: Names of the app's collections.
    """
    database = database_name(store)
    db = f"db.getSiblingDB({json.dumps(database)})"
    given = f'{{role: "{ROLE}", db: {json.dumps(database)}}}'
    path = f"HOST,HOST,HOST/{quote(database)}?replicaSet=rs0&tls=true"
    yield "// What the nodes of this app may do in MongoDB. An administrator runs it in mongosh:"
    yield "// paste it, or mongosh URL --file FILE. Run it again when the app has more collections,"
    yield "// and after an upgrade of Bolide."
    if not database_name(store, default=""):
        yield f'// BOLIDE_STORE names no database of MongoDB here, so this is for "{database}".'
    yield ""
    role = node_role(database, collections)
    yield f'var role = {{"role": {json.dumps(role["role"])}, "roles": [], "privileges": ['
    for privilege in role["privileges"]:
        yield f"  {json.dumps(privilege)},"
    yield "]}"
    yield (
        f"if ({db}.getRole(role.role) === null) {{ {db}.createRole(role) }}"
        f" else {{ {db}.updateRole(role.role, {{privileges: role.privileges, roles: []}}) }}"
    )
    yield ""
    yield "// A user that has it; mongosh asks for the password."
    user = f'{{user: "{_USER}", pwd: passwordPrompt(), roles: [{given}]}}'
    yield f'if ({db}.getUser("{_USER}") === null) {{ {db}.createUser({user}) }}'
    yield f"// BOLIDE_STORE=mongodb://{_USER}:...@{path}"
    yield ""
    yield "// Instead of it, a user whose certificate is its password:"
    yield f'// db.getSiblingDB("$external").createUser({{user: "{_SUBJECT}", roles: [{given}]}})'
    yield f"// BOLIDE_STORE=mongodb://{path}&authMechanism=MONGODB-X509&tlsCertificateKeyFile=..."
    yield ""
    yield "// Instead of both, a user that exists (in admin, say) and has no other role here:"
    yield f'// db.getSiblingDB("admin").grantRolesToUser("NAME", [{given}])'

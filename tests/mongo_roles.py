"""What ``bolide doctor --mongo-roles`` prints, done without a mongosh."""

import json
import re
from collections.abc import Iterable
from typing import Any

from pymongo import MongoClient

__all__ = [
    "PASSWORD",
    "administrator_url",
    "run_printed_command_for_a_certificate",
    "run_printed_commands",
]

PASSWORD = "secret"


def administrator_url(url: str) -> str:
    """Return the URL of a database that a node uses for somebody who may do all in it."""
    return re.sub(r"//[^@]*@", "//root:root@", url) + "&authSource=admin"


def run_printed_commands(client: MongoClient[dict[str, Any]], lines: Iterable[str]) -> str:
    """Make the role and the user that are printed; returns the user's name and password.

    Args:
        client: An administrator's.
        lines: As they are printed.
    """
    script = "\n".join(lines)
    role = json.loads(re.sub(r",\s*\]", "]", _found(r"^var role = (\{.*?\n\]\})", script)))
    place = _found(r"db\.getSiblingDB\(([^()]*)\)\.createRole\(role\)", script)
    database = client[json.loads(place)]
    name = role.pop("role")
    database.command("createRole", name, **role)
    created = re.search(
        r"\.createUser\(\{user: (\S+), pwd: passwordPrompt\(\), roles: \[(.*?)\]\}\)", script
    )
    assert created is not None
    user: str = json.loads(created[1])
    granted = json.loads(re.sub(r"(\w+): ", r'"\1": ', created[2]))
    database.command("createUser", user, pwd=PASSWORD, roles=[granted])
    return f"{user}:{PASSWORD}"


def run_printed_command_for_a_certificate(
    client: MongoClient[dict[str, Any]], lines: Iterable[str]
) -> str:
    """Make the user of a certificate that is printed, beside the role; returns the subject."""
    script = "\n".join(lines)
    [created] = re.findall(
        r'^// db\.getSiblingDB\("\$external"\)\.createUser\(\{user: "(.*?)", roles: \[(.*?)\]\}\)$',
        script,
        re.MULTILINE,
    )
    subject: str = created[0]
    granted = json.loads(re.sub(r"(\w+): ", r'"\1": ', created[1]))
    client["$external"].command("createUser", subject, roles=[granted])
    return subject


def _found(pattern: str, script: str) -> str:
    found = re.search(pattern, script, re.MULTILINE | re.DOTALL)
    assert found is not None, script
    return found[1]

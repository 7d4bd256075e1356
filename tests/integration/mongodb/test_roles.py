"""What a node may do in a database, and what not: the role that the operator is told to make."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from tests.integration.cli.conftest import Start, bolide
from tests.mongo_roles import (
    administrator_url,
    run_printed_command_for_a_certificate,
    run_printed_commands,
)
from tests.replica_set import ReplicaSet

from bolide.core.errors import ConfigurationError
from bolide.ops.doctor.mongo_roles import mongo_role_lines
from bolide.server.stores.base import Insert
from bolide.server.stores.mongo import MongoStore

__all__ = ["bolide"]

UNAUTHORIZED = 13
APP = """
from bolide.server import App

app = App()
app.collection("beds")
"""


async def test_the_printed_commands_let_a_node_serve_the_app_and_no_more(
    bolide: Start, tmp_path: Path, replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served.py").write_text(APP)
    monkeypatch.setenv("BOLIDE_STORE", "mongodb://ada:hidden@db.example.org/printed?tls=true")
    status, out, _ = await doctor(tmp_path)
    assert status == 0
    for secret in ("ada", "hidden", "example.org"):
        assert secret not in out
    with replica_set.client() as client:
        user = run_printed_commands(client, out.splitlines())
    url = replica_set.url("printed", user=user, authSource="")
    monkeypatch.setenv("BOLIDE_STORE", url)
    node = await bolide("run", "served:app", "--port", "0")
    await node.said("Not for real PHI yet")
    assert user.partition(":")[2] not in node.out + node.err
    with MongoClient[dict[str, object]](url) as client:
        database = client.get_default_database()
        database["beds"].insert_one({"_id": 1})
        for refused in (
            lambda: database["people"].insert_one({}),
            lambda: database["beds"].drop(),
            lambda: database["beds"].rename("bets", dropTarget=True),
            lambda: database.command("collMod", "beds", validator={}),
            lambda: database["beds"].insert_one({}, bypass_document_validation=True),
            lambda: database.client["other"]["beds"].find_one(),
        ):
            with pytest.raises(OperationFailure) as caught:
                refused()
            assert caught.value.code == UNAUTHORIZED
    with MongoClient[dict[str, object]](administrator_url(url)) as client:
        client["printed"].command("dropAllUsersFromDatabase")
        client["printed"].command("dropAllRolesFromDatabase")
        client.drop_database("printed")


async def test_a_certificate_is_a_password_too() -> None:
    with ReplicaSet(1, has_users=True, has_tls=True) as replica_set:
        lines = list(mongo_role_lines(replica_set.url("ward"), ["beds"]))
        with replica_set.client() as client:
            run_printed_commands(client, lines)
            subject = run_printed_command_for_a_certificate(client, lines)
        assert replica_set.authority is not None
        names = dict(part.split("=") for part in subject.split(","))
        file = replica_set.authority.issue_to(names["CN"], names["OU"], names["O"])
        other = replica_set.authority.issue_to("stranger", names["OU"], names["O"])
        options = {"authMechanism": "MONGODB-X509", "authSource": ""}
        url = replica_set.url("ward", tlsCertificateKeyFile=file, **options)
        url = url.replace("root:root@", "")
        store = MongoStore(url)
        await store.open()
        receipt = await store.write(Insert(collection="beds", documents=[{"_id": 1}]))
        assert receipt.position is not None
        await store.feed_reached(receipt.position)
        await store.close()
        with pytest.raises(ConfigurationError, match="that MongoDB knows"):
            await MongoStore(url.replace(file, other)).open()


@pytest.mark.parametrize("role", ["", "read on another", "find only"])
async def test_a_user_that_may_not_follow_the_database_is_told_the_command(
    role: str, new_database: Callable[[], str]
) -> None:
    url = new_database()
    with MongoClient[dict[str, object]](administrator_url(url)) as client:
        database = client.get_default_database()
        find = {"resource": {"db": database.name, "collection": ""}, "actions": ["find"]}
        database.command("createRole", "finder", privileges=[find], roles=[])
        roles = {"": [], "read on another": [{"role": "read", "db": "other"}]}
        granted = roles.get(role, ["finder"])
        database.command("createUser", "guest", pwd="secret", roles=granted)
    with pytest.raises(ConfigurationError) as caught:
        await MongoStore(url.replace("bolide:", "guest:")).open()
    assert "`bolide doctor --mongo-roles MODULE:APP` prints the commands" in str(caught.value)


async def test_who_gives_no_name_is_told_the_command(
    replica_set: ReplicaSet,
) -> None:
    url = replica_set.url("ward").replace("root:root@", "")
    with pytest.raises(ConfigurationError, match="--mongo-roles"):
        await MongoStore(url).open()


async def test_without_a_database_of_mongodb_the_default_is_told(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APP)
    status, out, _ = await doctor(tmp_path)
    assert status == 0
    assert 'names no database of MongoDB here, so this is for "bolide"' in out
    assert 'db.getSiblingDB("bolide").createRole' in out


async def test_an_app_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    status, _, err = await doctor(tmp_path)
    assert status == 2
    assert err.startswith("bolide: There is no module served")


async def doctor(folder: Path) -> tuple[int, str, str]:
    """Run the command; returns its status, what it printed and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bolide.ops", "doctor", "--mongo-roles", "served:app"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()

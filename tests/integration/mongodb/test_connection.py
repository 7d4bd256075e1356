"""What an operator hears when a database cannot be used: one line that says what to do."""

import gc
import socket
from collections.abc import Callable, Iterator

import pytest
from pymongo import MongoClient
from tests.replica_set import ReplicaSet

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.stores.base import Query
from bolide.server.stores.mongo import MongoStore, connection
from bolide.server.stores.mongo.connection import MAX_CLOCK_DIFFERENCE_S
from bolide.server.testing import FakeClock


async def refusal(url: str, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await MongoStore(url, **options).open()  # type: ignore[arg-type]
    text = str(caught.value)
    assert "secret" not in text
    assert "\n" not in text
    return text


# The driver forgets the sockets of connections that come to nothing.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(connection, "_CONNECT_TIMEOUT_MS", 1000)
    yield
    gc.collect()


@pytest.fixture
def standalone() -> Iterator[str]:
    """A mongod that is in no replica set."""
    with ReplicaSet.standalone() as member:
        yield f"mongodb://{member.address}/ward"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://ada:secret@/ward",
        "mongodb://ada:secret@localhost:port/ward",
        "mongodb://ada:secret@localhost/ward?colour=secret",
        "mongodb://ada:sec:ret@localhost/ward?replicaSet=",
        "mongodb://localhost/wa.rd$",
    ],
)
@pytest.mark.filterwarnings("ignore:Unknown option:UserWarning")
async def test_a_url_that_is_none(url: str) -> None:
    assert "a MongoDB " in await refusal(url)


async def test_a_database_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    text = await refusal(f"mongodb://ada:secret@127.0.0.1:{port}/ward")
    assert "look at host, port" in text


async def test_a_single_mongod_is_told_how_to_become_a_replica_set(standalone: str) -> None:
    text = await refusal(standalone)
    assert "--replSet rs0" in text
    assert "rs.initiate()" in text


async def test_a_wrong_password(replica_set: ReplicaSet) -> None:
    url = replica_set.url("ward", user="ada:secret")
    assert "a user and a password that MongoDB knows" in await refusal(url)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("mongodb://ada:secret@db.example.org/ward", "tls=true"),
        ("mongodb://127.0.0.1,db.example.org/ward?tls=true", "a user and a password"),
    ],
)
async def test_another_machine_needs_tls_and_a_password(url: str, wanted: str) -> None:
    text = await refusal(url)
    assert wanted in text
    assert "BOLIDE_INSECURE_STORE=1" in text


async def test_another_machine_may_be_trusted_explicitly() -> None:
    text = await refusal("mongodb://db.invalid/ward", insecure=True)
    assert "look at host, port" in text


async def test_a_clock_that_is_wrong(
    replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "clock is right" in await refusal(replica_set.url("ward"), clock=FakeClock())
    assert MAX_CLOCK_DIFFERENCE_S == 60


async def test_a_store_is_opened_once(new_database: Callable[[], str]) -> None:
    store = MongoStore(new_database())
    with pytest.raises(StateError, match="not open"):
        await store.read(Query(collection="beds"))
    await store.open()
    with pytest.raises(StateError, match="open already"):
        await store.open()
    await store.close()
    await store.close()
    await store.open()
    await store.close()


async def test_the_raw_collection_is_the_drivers_own(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = MongoStore(url)
    await store.open()
    await store.raw_collection("beds").insert_one({"_id": 1})
    with MongoClient[dict[str, object]](url) as client:
        assert client.get_default_database()["beds"].count_documents({}) == 1
    await store.close()

from pathlib import Path

import pytest
from pymongo.errors import WriteError

from bolide.core.errors import ConfigurationError
from bolide.server.stores.base import Insert
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.stores.urls import open_store


@pytest.mark.parametrize("url", ["memory:", "memory://", "MEMORY:"])
def test_memory_is_a_memory_store(url: str) -> None:
    assert isinstance(open_store(url), MemoryStore)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/ward.db", Path("/var/lib/ward.db")),
        ("sqlite:///ward.db", Path.cwd() / "ward.db"),
        ("sqlite:///data/my%20ward.db", Path.cwd() / "data" / "my ward.db"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, path: Path) -> None:
    store = open_store(url)
    assert isinstance(store, SQLiteStore)
    assert store.path == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite:///",
        "sqlite:///.",
        "sqlite://ward.db",
        "sqlite://host/ward.db",
        "sqlite:///ward.db?mode=ro",
        "sqlite:///:memory:",
        "memory:ward",
        "ward.db",
        "",
        "postgres://ada:secret@host/db",
    ],
)
def test_any_other_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^store is") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mongodb://localhost/ward", "mongodb+srv://host/ward"])
def test_mongodb_is_a_mongodb_store(url: str) -> None:
    assert isinstance(open_store(url), MongoStore)


@pytest.mark.parametrize("url", ["lab.db", "sqlite://lab.db"])
def test_a_url_that_can_hold_no_password_is_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^store is '{url}', but must be "):
        open_store(url)


@pytest.mark.parametrize("url", ["memory:", "sqlite:///small.db"])
async def test_the_store_has_the_size_limit_of_the_settings(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(url, store_max_bytes=20)
    await store.open()
    with pytest.raises(WriteError, match="store_max_bytes"):
        await store.write(Insert(collection="beds", documents=[{"_id": 1, "name": "Ada"}]))
    await store.close()

"""What the tutorial says of MongoDB is what MongoDB and Bolide say."""

import os
import re
from pathlib import Path

import pytest
from tests.replica_set import ReplicaSet, find_mongod

from bolide.core.errors import ConfigurationError
from bolide.server.stores.mongo import MongoStore

_PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "mongodb.md"


async def test_the_refusal_in_the_tutorial_is_the_one_of_a_single_mongod() -> None:
    if find_mongod() is None and not os.environ.get("CI"):
        pytest.skip("no mongod: set BOLIDE_MONGOD")
    (shown,) = re.findall(r"^```text\nbolide: (.*)\n```$", _PAGE.read_text(), re.MULTILINE)
    with ReplicaSet.standalone() as alone, pytest.raises(ConfigurationError) as refused:
        await MongoStore(f"mongodb://{alone.address}/tasks").open()
    # The page uses the port that MongoDB has where nobody names one.
    assert str(refused.value).replace(alone.address, "127.0.0.1:27017") == shown

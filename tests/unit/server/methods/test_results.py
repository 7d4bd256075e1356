import warnings
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from bolide.core.errors import MethodError
from bolide.core.values import UNDEFINED
from bolide.server.app import App
from bolide.server.context import Context
from bolide.server.logging.explained import Explained
from bolide.server.methods.results import WrongResult, result_value
from bolide.server.presence.member import Member
from bolide.server.testing import TestNode


def test_values_are_made_those_of_the_wire() -> None:
    assert result_value("m", (1, {"a": ("b",)})) == [1, {"a": ["b"]}]
    assert result_value("m", None) is None
    assert result_value("m", UNDEFINED) is UNDEFINED


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(WrongResult, match=r"returned a object, .*: return objects \(dict\), lists"):
        result_value("m", object())
    with pytest.raises(ValueError, match="64 bits"):
        result_value("m", [2**70])


@dataclass
class Bed:
    patient: str


class Ward(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (InsertOneResult("Meyer", True), "a InsertOneResult, .* return .inserted_id"),
        (InsertManyResult(["Meyer"], True), "return .inserted_ids"),
        (UpdateResult({}, True), "return .modified_count"),
        (DeleteResult({}, True), "return .deleted_count"),
        ([Member("i", ("here", "7"), "Meyer", None)], 'a Member inside a list, .*"user": member'),
        (Ward(name="Meyer"), "a Ward, .*model_dump"),
        ({"Meyer": [1, Bed("Meyer")]}, r"a Bed inside a dict, .*dataclasses.asdict\(\)"),
        ({"Meyer"}, "a set, .*return a list"),
        ([{7: 1}, 2**70], "a value inside a list, which DDP"),
    ],
)
def test_what_is_returned_instead_of_a_value_is_explained(outcome: Any, said: str) -> None:
    with pytest.raises(WrongResult, match=said) as refused:
        result_value("m", outcome)
    assert "Meyer" not in str(refused.value)


def test_a_coroutine_that_nobody_awaited_is_explained_and_closed() -> None:
    async def read() -> int:
        return 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WrongResult, match=r"^The method m returned .* await is missing\.$"):
            result_value("m", read())
    assert issubclass(WrongResult, Explained)


@pytest.mark.parametrize("is_awaited", [True, False])
async def test_a_cursor_is_explained(is_awaited: bool) -> None:
    app = App()
    tasks = app.collection("tasks")

    @app.method("tasks.all", public=True)
    async def all_tasks(ctx: Context) -> object:
        return await tasks.find().to_list() if is_awaited else tasks.find()

    with pytest.raises(WrongResult, match=r"return await \.to_list\(\)"):
        result_value("tasks.all", tasks.find())
    async with TestNode(app) as node:
        client = await node.connect()
        if is_awaited:
            assert await client.call("tasks.all") == []
            return
        with pytest.raises(MethodError, match="Internal server error"):
            await client.call("tasks.all")

"""Calls whose store fails when their outcome is to be kept."""

import pytest
from pymongo.errors import AutoReconnect

from bolide.core.ddp.messages import CallId
from bolide.core.errors import MethodError
from bolide.server import App, Context
from bolide.server.stores.base import Insert, Receipt, WriteOperation, WriteOutcomeUnknown
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import CALLS
from bolide.server.testing import TestNode

CALL = CallId("c" * 16, "1")


class FailingStore(MemoryStore):
    """A store in the hands of a test.

    Attributes:
        outcome_error: What writing the outcome of a call raises.
        first_error: What writing together with a claim raises; nothing is written then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outcome_error: Exception | None = None
        self.first_error: Exception | None = None

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        if self.outcome_error is not None and operation.collection == CALLS:
            raise self.outcome_error
        if self.first_error is not None and first is not None:
            raise self.first_error
        return await super().write(operation, first=first)


def make_app(runs: list[str]) -> App:
    app = App()
    tasks = app.collection("tasks")

    @app.method("add", public=True)
    async def add(ctx: Context, title: str) -> str:
        runs.append(title)
        await tasks.insert_one({"title": title})
        return title

    return app


@pytest.mark.parametrize("error", [AutoReconnect("away"), WriteOutcomeUnknown()])
async def test_a_call_whose_outcome_cannot_be_kept_is_unknown_and_not_failed(
    error: Exception,
) -> None:
    store = FailingStore()
    async with TestNode(make_app([]), store=store) as node:
        client = await node.connect(bolide=True)
        store.outcome_error = error
        with pytest.raises(MethodError) as caught:
            await client.call("add", "one", call=CALL)
        assert caught.value.error == "write-outcome-unknown"


async def test_a_write_of_which_nobody_knows_is_told_at_once_and_found_out_by_a_repeat() -> None:
    store, runs = FailingStore(), list[str]()
    async with TestNode(make_app(runs), store=store) as node:
        client = await node.connect(bolide=True)
        store.first_error = WriteOutcomeUnknown()
        with pytest.raises(MethodError) as caught:
            await client.call("add", "one", call=CALL)
        assert caught.value.error == "write-outcome-unknown"
        # It was not done, so the repeat does it.
        store.first_error = None
        assert await client.call("add", "one", call=CALL) == "one"
        assert runs == ["one", "one"]

from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from bolide.core.values import Regex
from bolide.server.stores.slowness import is_too_slow

LOOKED = "Executor error during find command :: caused by :: operation exceeded time limit"
WAITED = "operation exceeded time limit"
SLOW = OperationFailure(LOOKED, 50, {"errmsg": LOOKED})


@pytest.mark.parametrize(
    "asked",
    [
        {"a": Regex("(a+)+b")},
        {"a": {"$in": [1, Regex("(a+)+b")]}},
        {"find": "c", "filter": {"$or": [{"a": {"$regex": "(a+)+b"}}]}},
    ],
)
def test_a_regular_expression_is_to_blame(asked: Any) -> None:
    assert is_too_slow(SLOW, asked)
    assert not is_too_slow(OperationFailure("no", 2), asked)
    assert not is_too_slow(OperationFailure(WAITED, 50, {"errmsg": WAITED}), asked)
    assert not is_too_slow(OperationFailure(WAITED, 50), asked)
    assert not is_too_slow(AutoReconnect("away"), asked)


@pytest.mark.parametrize("asked", [{}, {"a": "regex"}, {"$and": [{"a": {"$gt": 3}}, 7]}])
def test_without_one_it_may_pass(asked: Any) -> None:
    assert not is_too_slow(SLOW, asked)

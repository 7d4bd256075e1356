"""Sockets that MongoDB's driver leaves open: it does if it is cancelled while it connects."""

import gc
from collections.abc import Iterable
from typing import Final

import pytest
from tests.replica_set import Member

__all__ = ["MAY_BE_LEFT", "forgiven", "let_go"]

MAY_BE_LEFT: Final = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""A mark of tests in which members go, and with them the name of whom a socket was connected to."""


def forgiven(members: Iterable[Member]) -> str:
    """Return the line of ``filterwarnings`` that forgives sockets to members that run."""
    ports = "|".join(member.address.rpartition(":")[2] for member in members)
    left_open = rf"Exception ignored in. <.*ocket.* raddr=.'127.0.0.1', ({ports}).>"
    return f"ignore:{left_open}:pytest.PytestUnraisableExceptionWarning"


def let_go(node: pytest.Item) -> None:
    """Collect what was left in a test with the mark, so that no later one is blamed for it."""
    if any(mark == MAY_BE_LEFT.mark for mark in node.iter_markers(MAY_BE_LEFT.name)):
        gc.collect()

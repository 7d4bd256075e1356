"""Invocations: a decision first, a fence that never goes back."""

import asyncio

import pytest

from bolide.core.ddp.random import SeededStreams
from bolide.server.access.invocation import (
    Invocation,
    SessionInfo,
    UndecidedAccess,
    UnopenedAccess,
    current,
    entered,
)
from bolide.server.stores.base import Receipt


def test_an_exit_without_a_decision_says_what_to_write() -> None:
    invocation = Invocation("method", "patients.move")
    with pytest.raises(UndecidedAccess) as caught:
        invocation.check_exit("wrote to patients")
    assert str(caught.value) == (
        "The method patients.move wrote to patients without a decision:"
        " call ctx.require(...), ctx.require_login() or declare public=True."
    )
    assert caught.value.code == "undecided-access"


def test_a_decided_invocation_may_leave() -> None:
    Invocation("publication", "patients", is_decided=True).check_exit("read patients")


def test_a_decision_opens_no_access_scope() -> None:
    invocation = Invocation("method", "patients.move", is_decided=True)
    with pytest.raises(UnopenedAccess) as caught:
        invocation.open_scopes("wrote to patients")
    assert str(caught.value) == (
        "The method patients.move wrote to patients without an open access scope:"
        " call ctx.require(permission, access_scope); nothing else opens a collection with access=."
    )
    assert caught.value.code == "unopened-access"


def test_what_is_open_is_told_as_it_is_now() -> None:
    invocation = Invocation("method", "patients.move")
    invocation.opened.add("7")
    seven = invocation.open_scopes("read patients")
    invocation.opened.add("8")
    assert seven == {"7"}
    assert invocation.open_scopes("read patients") == {"7", "8"}


def test_a_universal_publication_is_named_without_a_name() -> None:
    assert Invocation("publication", None).handler == "universal publication"
    assert Invocation("publication", "beds").handler == "publication beds"


def test_trusted_code_has_no_invocation() -> None:
    assert current() is None


def test_the_block_runs_in_its_invocation() -> None:
    outer, inner = Invocation("method", "outer"), Invocation("method", "inner")
    with entered(outer):
        with entered(inner):
            assert current() is inner
        assert current() is outer
        with entered(None):
            assert current() is None
    assert current() is None


def test_an_error_leaves_the_invocation_too() -> None:
    def fail() -> None:
        with entered(Invocation("method", "m")):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert current() is None


async def test_tasks_inherit_the_invocation_and_others_do_not_see_it() -> None:
    invocation = Invocation("method", "m")

    async def seen() -> Invocation | None:
        return current()

    with entered(invocation):
        inside = asyncio.create_task(seen())
    outside = asyncio.create_task(seen())
    assert await inside is invocation
    assert await outside is None


def test_the_fence_moves_forward_only() -> None:
    invocation = Invocation("method", "m")
    invocation.wrote(Receipt(position=5, collections=frozenset({"beds", "notes"})))
    invocation.wrote(Receipt(position=7, collections=frozenset({"beds"})))
    invocation.fence.reached("beds", 6)
    assert invocation.fence == {"beds": 7, "notes": 5}


def test_a_write_that_changed_nothing_moves_no_fence() -> None:
    invocation = Invocation("method", "m")
    invocation.wrote(Receipt(position=None, collections=frozenset({"beds"})))
    assert invocation.fence == {}


def test_a_nested_invocation_shares_the_fence_and_not_the_decision() -> None:
    outer = Invocation("method", "outer", is_decided=True, random=SeededStreams("seed"))
    inner = Invocation("method", "inner", fence=outer.fence)
    inner.fence.reached("beds", 1)
    assert outer.fence == {"beds": 1}
    assert not inner.is_decided


def test_a_session_closes_and_hides_its_headers_from_repr() -> None:
    closed: list[bool] = []
    session = SessionInfo("s", "10.0.0.1", {"x": "secret"}, lambda: closed.append(True))
    session.close()
    assert closed == [True]
    assert "secret" not in repr(session)
    SessionInfo("s").close()

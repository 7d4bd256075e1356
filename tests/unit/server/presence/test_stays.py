"""Where sessions are, and what keeps them there."""

import pytest

from bolide.core.errors import MethodError
from bolide.server.access.authorize import AccessRequest
from bolide.server.access.decisions import Decisions
from bolide.server.presence.stays import SESSION, Stays

WARD, OTHER = ("online", "7"), ("online", "8")


def allowed() -> Decisions:
    decisions = Decisions()
    decisions.remember(AccessRequest("ann", "read", "7"), True)
    return decisions


def test_a_stay_lasts_as_long_as_anybody_holds_it() -> None:
    stays = Stays(5)
    id = stays.enter("s", WARD, "first", allowed())
    assert stays.enter("s", WARD, "second", allowed()) == id
    assert stays.leave("s", WARD, "first") is None
    assert stays.leave("s", WARD, "first") is None
    assert stays.leave("s", WARD, "second") == id
    assert stays.leave("s", WARD, "second") is None
    assert stays.enter("s", WARD, "third", allowed()) != id


def test_leaving_for_good_ends_it_whoever_holds_it() -> None:
    stays = Stays(5)
    id = stays.enter("s", WARD, "first", allowed())
    stays.enter("s", WARD, SESSION, allowed())
    assert stays.leave("s", WARD, None) == id


def test_a_session_ends_with_all_its_stays() -> None:
    stays = Stays(5)
    ids = {stays.enter("s", WARD, SESSION, allowed()), stays.enter("s", OTHER, "x", allowed())}
    stays.enter("t", WARD, SESSION, allowed())
    assert set(stays.end("s")) == ids
    assert stays.end("s") == []


def test_another_user_keeps_only_what_subscriptions_hold() -> None:
    stays = Stays(5)
    by_method = stays.enter("s", WARD, SESSION, allowed())
    stays.enter("s", OTHER, SESSION, allowed())
    stays.enter("s", OTHER, "subscription", allowed())
    assert stays.release_session("s") == [by_method]
    assert stays.release_session("s") == []


def test_a_permission_that_is_lost_ends_what_a_method_entered() -> None:
    stays = Stays(5)
    id = stays.enter("s", WARD, SESSION, allowed())
    stays.enter("s", OTHER, "subscription", allowed())
    assert stays.ask_again("s", lambda question: True) == []
    assert stays.ask_again("s", lambda question: False) == [id]
    stays.enter("s", WARD, SESSION, allowed())
    stays.enter("s", WARD, "subscription", allowed())
    assert stays.ask_again("s", lambda question: False) == []


def test_a_session_is_not_everywhere() -> None:
    stays = Stays(1)
    stays.enter("s", WARD, SESSION, allowed())
    stays.enter("s", WARD, "again", allowed())
    with pytest.raises(MethodError, match="max_presence_places"):
        stays.enter("s", OTHER, SESSION, allowed())
    stays.enter("t", OTHER, SESSION, allowed())

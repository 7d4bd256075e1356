"""Catching up: what is awaited after a reconnect, and what is held meanwhile."""

from bolide.client.documents.catch_up import CatchUp
from bolide.client.events import CallFinished


def test_it_is_complete_when_everything_was_answered() -> None:
    catch_up = CatchUp()
    catch_up.answered("1")
    assert not catch_up.is_on
    assert not catch_up.is_complete
    catch_up.begin(["1", "2"], deadline=30.0)
    catch_up.answered("1")
    assert catch_up.is_on
    assert not catch_up.is_complete
    catch_up.hold(CallFinished("7"))
    catch_up.answered("2")
    assert catch_up.is_complete
    assert catch_up.finish() == [CallFinished("7")]
    assert not catch_up.is_on
    assert catch_up.deadline is None


def test_letting_go_ends_the_holding_and_not_the_waiting() -> None:
    catch_up = CatchUp()
    catch_up.begin(["1"], deadline=30.0)
    catch_up.hold(CallFinished("7"))
    assert catch_up.let_go() == [CallFinished("7")]
    assert catch_up.deadline is None
    assert catch_up.is_on


def test_what_is_held_outlives_a_connection() -> None:
    catch_up = CatchUp()
    catch_up.begin(["1"], deadline=30.0)
    catch_up.hold(CallFinished("7"))
    catch_up.connection_lost()
    assert catch_up.deadline is None
    catch_up.begin(["1"], deadline=60.0)
    catch_up.answered("1")
    assert catch_up.finish() == [CallFinished("7")]

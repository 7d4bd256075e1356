"""Decisions: what was answered, and what is answered otherwise now."""

import pytest
import structlog

from bolide.server.access.authorize import AccessRequest
from bolide.server.access.decisions import Decisions, Difference, LoginRequest, Question, decide

READ = AccessRequest("ann", "ward:read", "7")
WRITE = AccessRequest("ann", "ward:write", "7")
LOG = structlog.get_logger("test")


def yes(question: Question) -> bool:
    return True


def no(question: Question) -> bool:
    return False


def test_without_questions_nothing_differs() -> None:
    assert not Decisions().difference(no)


@pytest.mark.parametrize(
    ("used", "now", "expected"),
    [
        ([True], True, Difference()),
        ([False], False, Difference()),
        ([True], False, Difference(lost=True)),
        ([False], True, Difference(gained=True)),
        ([True, False], True, Difference(gained=True)),
        ([False, True], False, Difference(lost=True)),
    ],
)
def test_an_answer_is_compared_with_all_that_the_run_was_given(
    used: list[bool], now: bool, expected: Difference
) -> None:
    decisions = Decisions()
    for allowed in used:
        decisions.remember(READ, allowed)
    assert decisions.difference(lambda _: now) == expected
    assert bool(expected) == (expected != Difference())


def test_one_can_be_lost_while_another_is_gained() -> None:
    decisions = Decisions()
    decisions.remember(READ, True)
    decisions.remember(WRITE, False)
    assert decisions.difference(lambda question: question == WRITE) == Difference(True, True)


def test_each_question_is_asked_once() -> None:
    decisions, asked = Decisions(), list[Question]()
    for _ in range(3):
        decisions.remember(READ, True)
    decisions.remember(LoginRequest("ann"), True)

    def answer(question: Question) -> bool:
        asked.append(question)
        return True

    assert not decisions.difference(answer)
    assert asked == [READ, LoginRequest("ann")]


def test_a_login_is_not_a_matter_of_permissions() -> None:
    assert decide(LoginRequest("ann"), no, lambda: LOG)
    assert not decide(LoginRequest(None), yes, lambda: LOG)


def test_what_authorize_raises_is_a_denial_and_logged_without_its_text() -> None:
    def fail(request: AccessRequest, /) -> bool:
        raise KeyError("Ada Lovelace")

    with structlog.testing.capture_logs() as records:
        assert not decide(READ, fail, lambda: LOG)
    [record] = records
    assert record["log_level"] == "error"
    assert record["failed_in"] == "app.authorize"
    assert "Ada" not in repr(records)

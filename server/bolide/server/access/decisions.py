"""The decisions of one run: what was asked, how it was answered, and whether it still is.

A publication runs again when an answer it used is a different one now. Which ones differ is found
out here, without any effect; what follows from it is the session's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from bolide.server.access.authorize import AccessRequest, Authorize
from bolide.server.methods.errors import log_failure

__all__ = ["Decisions", "Difference", "LoginRequest", "Question", "decide"]


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What ``ctx.require_login()`` asks: whether somebody is logged in.

    Attributes:
        user_id: Who; None if nobody is.
    """

    user_id: str | None


Question: TypeAlias = AccessRequest | LoginRequest


def decide(
    question: Question, authorize: Authorize, log: Callable[[], FilteringBoundLogger]
) -> bool:
    """Answer a question now.

    Args:
        question: What is asked.
        authorize: Who decides; what it raises is logged and counts as a denial.
        log: Returns where that is logged.
    """
    if isinstance(question, LoginRequest):
        return question.user_id is not None
    try:
        # Only True itself allows: a coroutine that somebody forgot to await is true as well.
        return authorize(question) is True
    except Exception as error:
        log_failure(log(), error, failed_in="app.authorize")
        return False


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the answers that a run used; true if any is a different one.

    Attributes:
        lost: The run was allowed something that is denied now.
        gained: The run was denied something that is allowed now.
    """

    lost: bool = False
    gained: bool = False

    def __bool__(self) -> bool:
        return self.lost or self.gained


class Decisions:
    """The questions of one run with their answers."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        """Begin without any."""
        # A run that asked twice and was answered differently used both answers.
        self._answers: dict[Question, set[bool]] = {}

    def remember(self, question: Question, allowed: bool) -> None:
        """Keep an answer that the run was given."""
        self._answers.setdefault(question, set()).add(allowed)

    def difference(self, decide: Callable[[Question], bool]) -> Difference:
        """Compare the answers that were used with those of now.

        Args:
            decide: Answers a question now; asked once for each.
        """
        lost = gained = False
        for question, answers in tuple(self._answers.items()):
            if decide(question):
                gained |= False in answers
            else:
                lost |= True in answers
        return Difference(lost, gained)

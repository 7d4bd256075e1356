"""What a method returned: a value for the client, or one of two slips that are easily made."""

import inspect
from typing import Any, ClassVar

from bolide.core.errors import LocalProtocolError
from bolide.core.values import UNDEFINED, normalize
from bolide.server.collections.cursor import Cursor
from bolide.server.logging.explained import Explained

__all__ = ["WrongResult", "result_value"]


class WrongResult(Explained, LocalProtocolError):
    """A method returned what stands for a value and is none yet."""

    code: ClassVar[str] = "wrong-result"

    def __init__(self, method: str, outcome: str) -> None:
        """Keep what it was.

        Args:
            method: Name of the method.
            outcome: In words, without any data.
        """
        super().__init__(method, outcome)
        self.method = method
        self.outcome = outcome

    def __str__(self) -> str:
        """Say what to write."""
        return f"The method {self.method} returned {self.outcome}."


def result_value(method: str, outcome: object) -> Any:
    """Make the value that the client gets.

    Args:
        method: Name of the method.
        outcome: What its function returned.

    Raises:
        WrongResult: If it is a coroutine or a cursor.
        TypeError: If it is another thing that is no value; see :func:`normalize`.
        ValueError: If it is a value that cannot be held; see there.
    """
    if outcome is UNDEFINED:
        return outcome
    if inspect.iscoroutine(outcome):
        outcome.close()  # or Python warns, in a line that is no part of the log
        raise WrongResult(method, "a coroutine: an await is missing")
    if isinstance(outcome, Cursor):
        raise WrongResult(method, "a cursor, which has read nothing: return await .to_list()")
    return normalize(outcome)

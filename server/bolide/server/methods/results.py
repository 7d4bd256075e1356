"""What a method returned: a value for the client, or a slip that is easily made."""

import inspect
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import is_dataclass
from typing import Any, ClassVar, Final, cast

from pydantic import BaseModel
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from bolide.core.errors import LocalProtocolError
from bolide.core.values import UNDEFINED, normalize
from bolide.server.collections.cursor import Cursor
from bolide.server.logging.explained import Explained
from bolide.server.presence.member import Member

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
        WrongResult: If it is a coroutine, a cursor or another thing that is no value.
        ValueError: If it is a value that cannot be held; see :func:`normalize`.
    """
    if outcome is UNDEFINED:
        return outcome
    if inspect.iscoroutine(outcome):
        outcome.close()  # or Python warns, in a line that is no part of the log
        raise WrongResult(method, "a coroutine: an await is missing")
    if isinstance(outcome, Cursor):
        raise WrongResult(method, "a cursor, which has read nothing: return await .to_list()")
    try:
        return normalize(outcome)
    except TypeError as error:
        found = _foreign(outcome)
        kind = "a value" if found is None else f"a {type(found).__name__}"
        within = "" if found is outcome else f" inside a {type(outcome).__name__}"
        raise WrongResult(
            method, f"{kind}{within}, which DDP does not carry: return {_instead(found)}"
        ) from error


def _foreign(value: object) -> object:
    """Return the first part that DDP does not carry."""
    parts: Iterable[object]
    if isinstance(value, Mapping):
        parts = cast("Mapping[object, object]", value).values()
    elif isinstance(value, (list, tuple)):
        parts = cast("Sequence[object]", value)
    else:
        parts = ()
        try:
            normalize(value)
        except TypeError:
            return value
        except ValueError:
            pass  # that it cannot be held is said of another part, if at all
    return next((found for part in parts if (found := _foreign(part)) is not None), None)


def _instead(found: object) -> str:
    for kind, wanted in _INSTEAD.items():
        if isinstance(found, kind):
            return wanted
    if is_dataclass(found):
        return "dataclasses.asdict() of it"
    return "objects (dict), lists and the values of docs/reference/values.md"


_INSTEAD: Final[dict[type, str]] = {
    InsertOneResult: ".inserted_id",
    InsertManyResult: ".inserted_ids",
    UpdateResult: ".modified_count",
    DeleteResult: ".deleted_count",
    Member: '{"user": member.user_id, "info": member.info} for each',
    BaseModel: ".model_dump() of it",
    Set: "a list of it",
}

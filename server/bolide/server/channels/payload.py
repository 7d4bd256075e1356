"""The payload: the declared type of what is sent, checked as an argument of a method is."""

from enum import Enum
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter

from bolide.core.errors import LocalProtocolError, MethodError
from bolide.core.values import normalize
from bolide.server.arguments import Argument, read_type
from bolide.server.logging.explained import Explained

__all__ = ["Payload", "WrongPayload"]

_AS_IT_IS: Final = ConfigDict(arbitrary_types_allowed=True)


class WrongPayload(Explained, LocalProtocolError):
    """The app gave a channel or a presence what is not of the declared type."""

    code: ClassVar[str] = "wrong-payload"

    def __init__(self, where: str, problem: str) -> None:
        """Keep what is wrong.

        Args:
            where: The declaration, such as ``app.channel("typing")``.
            problem: The field and why, without any value.
        """
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"What the app gave {self.where} is not of its type: {self.problem}. If it came from a"
            " client, give the argument of the handler that type, so that the client is told."
        )


class Payload:
    """The type of the messages of one channel, or of what is known of those present."""

    __slots__ = ("_adapter", "_check", "_where")

    # Annotations are of any type.
    def __init__(self, name: str, annotation: Any, where: str) -> None:
        """Make the check.

        Args:
            name: What a refusal calls it, such as ``"message"``.
            annotation: The declared type.
            where: The declaration for people, such as ``app.channel("typing")``.

        Raises:
            TypeError: If nothing of that type can be sent or checked.
        """
        self._where = where
        self._check: Argument = read_type(name, annotation, where)
        try:
            self._adapter = TypeAdapter[Any](annotation, config=_AS_IT_IS)
        except Exception:  # a model brings its own configuration
            self._adapter = TypeAdapter[Any](annotation)

    def value_of(self, given: Any) -> Any:
        """Make a value that can be sent.

        Args:
            given: A value of the type, or what a client would have sent for one; an instance is
                taken apart and checked again.

        Raises:
            WrongPayload: If it is not of the type, or a part of it is nothing that DDP carries;
                names the field and never the value.
        """
        try:
            dumped = self._adapter.dump_python(given, by_alias=True, warnings=False)
            plain = normalize(_carried(dumped))
        except (TypeError, ValueError) as error:
            problem = f'a part of "{self._check.name}" is nothing that DDP carries'
            raise WrongPayload(self._where, problem) from error
        try:
            self._check.validate(plain)
        except MethodError as refused:
            raise WrongPayload(self._where, str(refused.reason).removeprefix("Argument ")) from None
        return plain

    def validated(self, value: Any) -> Any:
        """Return a value that came from elsewhere.

        Raises:
            MethodError: 400, if it is not of the type; names the field and never the value.
        """
        self._check.validate(value)
        return value


def _carried(value: Any) -> Any:
    """Make what a client would send for the parts that DDP does not carry."""
    match value:
        case Enum():
            return _carried(value.value)
        case UUID():
            return str(value)
        case dict():
            return {name: _carried(field) for name, field in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple() | set() | frozenset():
            return [_carried(element) for element in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value

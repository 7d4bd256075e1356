"""The registry of methods."""

from dataclasses import dataclass

from bolide.core.errors import ConfigurationError
from bolide.server.arguments import Arguments, Handler, location_of, read_arguments

__all__ = ["Method", "Methods"]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """What clients call.

    Attributes:
        name: Its name.
        handler: The function.
        arguments: The check of its arguments.
        is_public: Whether everybody may call it, without a decision in the handler.
    """

    name: str
    handler: Handler
    arguments: Arguments
    is_public: bool = False


class Methods:
    """All methods of an app."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_name: dict[str, Method] = {}

    def add(self, name: str, handler: Handler, *, is_public: bool = False) -> Method:
        """Register a method.

        Args:
            name: What clients call.
            handler: The function.
            is_public: Everybody may call it.

        Raises:
            ConfigurationError: If the name is empty or taken.
            TypeError: If the handler cannot be one; the text says why.
        """
        if not name:
            raise ConfigurationError("The name of a method", name, "at least one character")
        method = Method(name, handler, read_arguments(handler, f"method {name}"), is_public)
        other = self._by_name.get(name)
        if other is not None:
            raise ConfigurationError(
                f"The handler of the method {name}",
                location_of(handler),
                f"the only one: {location_of(other.handler)} has the name already",
            )
        self._by_name[name] = method
        return method

    def find(self, name: str) -> Method | None:
        """Return the method of this name, None if there is none."""
        return self._by_name.get(name)

"""The registry of publications."""

from collections.abc import Sequence
from dataclasses import dataclass

from bolide.core.errors import ConfigurationError
from bolide.server.arguments import Arguments, Handler, location_of, read_arguments

__all__ = ["Publication", "Publications"]


@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """What clients subscribe to.

    Attributes:
        name: Its name; None for a universal publication, which every session gets.
        handler: The publish function.
        arguments: The check of its arguments.
        is_public: Whether everybody may subscribe, without a decision in the handler.
    """

    name: str | None
    handler: Handler
    arguments: Arguments
    is_public: bool = False


class Publications:
    """All publications of an app.

    Attributes:
        universal: Those that every session gets, in the order they were added.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._by_name: dict[str, Publication] = {}
        self.universal: Sequence[Publication] = ()

    def add(self, name: str | None, handler: Handler, *, is_public: bool = False) -> Publication:
        """Register a publish function.

        Args:
            name: What clients subscribe to; None for a universal publication.
            handler: The publish function.
            is_public: Everybody may subscribe.

        Raises:
            ConfigurationError: If the name is taken, or a universal publication takes arguments.
            TypeError: If the handler cannot be one; the text says why.
        """
        if name == "":
            raise ConfigurationError("The name of a publication", name, "at least one character")
        label = "universal publication" if name is None else f"publication {name}"
        publication = Publication(name, handler, read_arguments(handler, label), is_public)
        if name is None:
            if publication.arguments.names:
                raise ConfigurationError(
                    f"The handler of a {label}",
                    location_of(handler),
                    "without arguments: nobody sends any",
                )
            self.universal = (*self.universal, publication)
            return publication
        other = self._by_name.get(name)
        if other is not None:
            raise ConfigurationError(
                f"The handler of the {label}",
                location_of(handler),
                f"the only one: {location_of(other.handler)} has the name already",
            )
        self._by_name[name] = publication
        return publication

    def find(self, name: str) -> Publication | None:
        """Return the publication of this name, None if there is none."""
        return self._by_name.get(name)

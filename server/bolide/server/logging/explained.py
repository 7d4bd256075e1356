"""Errors whose text may be logged."""

from typing import ClassVar

from bolide.core.errors import ConfigurationError, StateError

__all__ = ["Explained", "NeedsMongoDB", "NotBuilt", "NotRunning"]


class Explained(Exception):
    """A mistake in the code of an app.

    The text names only what the app registered, never what a person sent or stored, so that logs
    may show it; the texts of all other exceptions stay out of them.
    """


class NotRunning(Explained, StateError):
    """A collection was used while no store is attached."""

    code: ClassVar[str] = "not-running"

    def __str__(self) -> str:
        """Say how to get a store."""
        return (
            "The app is not running, so its collections have no store:"
            " start it with `bolide run MODULE:APP`, or use them in @app.on_startup."
        )


class NeedsMongoDB(Explained, StateError):
    """Something that the embedded stores cannot do."""

    code: ClassVar[str] = "needs-mongodb"

    def __init__(
        self, action: str, because: str = "the embedded stores evaluate no aggregations"
    ) -> None:
        """Keep what was asked for.

        Args:
            action: Such as ``"app.live_aggregate on beds"``; names that the app registered.
            because: What the embedded stores do not do.
        """
        super().__init__(action)
        self.action = action
        self.because = because

    def __str__(self) -> str:
        """Say which store can."""
        return f"{self.action} needs MongoDB: {self.because}."


class NotBuilt(Explained, ConfigurationError):
    """An option that this release knows and does not serve yet."""

    code: ClassVar[str] = "not-built"

    def __init__(self, option: str, value: object) -> None:
        """Keep the option.

        Args:
            option: As the developer wrote it, such as ``access of app.collection("patients")``.
            value: As given; a name or a type, never data.
        """
        super().__init__(option, value, "left out: it is not built yet")

"""What a stub is given: the local collections, and the random streams of its method.

Sans-I/O. The streams are those that the server draws from, so an inserted document has the id here
that it will have there.

Names of streams follow Meteor's ``ddp-common``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from bolide.client.stubs.simulated_collection import IdKind, SimulatedCollection
from bolide.client.stubs.workspace import Workspace
from bolide.core.ddp.random import SeededStreams
from bolide.core.values import normalize

__all__ = ["Simulation", "Stub"]

Stub: TypeAlias = Callable[..., object]
"""Takes a :class:`Simulation` and the call's arguments; what it returns is for nested calls."""

_NESTED_SEED_DIGITS: Final = 20


class Simulation:
    """The first argument of a stub.

    Attributes:
        random: The random streams of the call.
        user_id: Who calls; None where nobody is logged in.
    """

    __slots__ = ("_stubs", "_workspace", "random", "user_id")

    def __init__(
        self,
        workspace: Workspace,
        stubs: Mapping[str, Stub],
        seed: str,
        *,
        user_id: str | None = None,
    ) -> None:
        """Simulate one call.

        Args:
            workspace: Where all stubs of the call write.
            stubs: By name of their methods, for nested calls.
            seed: The call's random seed.
            user_id: Who calls.
        """
        self._workspace = workspace
        self._stubs = stubs
        self.random = SeededStreams(seed)
        self.user_id = user_id

    def collection(self, name: str, *, id: IdKind = "random") -> SimulatedCollection:
        """Return a collection as it is shown, to read and to write.

        Args:
            name: Its name.
            id: What ``_id`` an insert without one draws; the same as in the server.
        """
        stream = self.random.stream(f"/collection/{name}")
        return SimulatedCollection(name, self._workspace, stream, id)

    # Arguments and results are the application's: any values.
    def call(self, name: str, *args: Any) -> Any:
        """Simulate another method as a part of this one; return what its stub returns.

        Nothing is sent: the server's method makes its own call. Without a stub nothing happens.
        """
        self._workspace.count()
        stub = self._stubs.get(name)
        seed = self.random.stream(f"/rpc/{name}").hex(_NESTED_SEED_DIGITS)
        if stub is None:
            return None
        nested = Simulation(self._workspace, self._stubs, seed, user_id=self.user_id)
        return stub(nested, *normalize(args))

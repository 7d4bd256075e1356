"""The stubs of one client: which method is simulated by which function.

Sans-I/O. A stub that fails leaves nothing behind, and its call is sent all the same: the server
decides what the method does.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.events import DocumentChange
from bolide.client.raised_at import raised_at
from bolide.client.stubs.simulation import Simulation, Stub
from bolide.client.stubs.workspace import Workspace
from bolide.core.errors import ConfigurationError
from bolide.core.values import normalize

__all__ = ["Simulated", "Stubs"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a stub did.

    Attributes:
        writes: Each document it wrote, as it left it; none if it failed.
        failure: Type and place of the error that it raised, without its text, or None.
    """

    writes: Sequence[DocumentChange] = ()
    failure: str | None = None


class Stubs:
    """Functions by the names of the methods that they simulate."""

    __slots__ = ("_by_name", "_max_operations")

    def __init__(self, max_operations: int) -> None:
        """Begin without any.

        Args:
            max_operations: Documents that a call's stubs may write and calls they may make.
        """
        self._by_name: dict[str, Stub] = {}
        self._max_operations = max_operations

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def add(self, name: str, stub: Stub) -> None:
        """Simulate a method from now on.

        Raises:
            ConfigurationError: If it has a stub already, or this is a coroutine function.
        """
        if inspect.iscoroutinefunction(stub):
            raise ConfigurationError("stub", name, "a plain function, not an async one")
        if name in self._by_name:
            raise ConfigurationError("stub", name, "a method that has no stub yet")
        self._by_name[name] = stub

    def simulate(
        self,
        name: str,
        args: Sequence[Any],
        *,
        local: Callable[[str], LocalCollection],
        seed: str,
        now_ms: int,
    ) -> Simulated:
        """Run the stub of a method.

        Args:
            name: One that has a stub.
            args: The arguments of the call; the stub gets copies.
            local: Returns the local copy of a collection.
            seed: The random seed that is sent with the call.
            now_ms: UTC milliseconds since 1970.
        """
        workspace = Workspace(local, max_operations=self._max_operations, now_ms=now_ms)
        try:
            self._by_name[name](Simulation(workspace, self._by_name, seed), *normalize(args))
        except Exception as error:
            return Simulated(failure=raised_at(error))
        return Simulated(workspace.writes())

"""How much a store looks at to answer a query: a port beside the store's."""

from typing import Protocol, runtime_checkable

from bolide.server.stores.base import Query

__all__ = ["Explainer"]


@runtime_checkable
class Explainer(Protocol):
    """A store that knows what a query costs it."""

    sorts_by_index: bool
    """Whether an index helps with an order, too."""

    async def examined(self, query: Query) -> int | None:
        """Count the documents that the store looks at to answer a query.

        Returns:
            How many, at most; None if that is not known, or would cost too much to find out.

        Raises:
            PyMongoError: If the store could not be asked.
        """
        ...

"""Members that announce themselves in the store."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from cryptography import x509

from bolide.balancer.members.member import Member, MemberSource
from bolide.balancer.settings.settings import BalancerSettings
from bolide.core.errors import ConfigurationError
from bolide.ops.registry.registry_view import MAX_REMEMBERED, RegistryView
from bolide.server.stores.base import Query, Store
from bolide.server.stores.own_collections import NODES
from bolide.server.stores.urls import open_store

__all__ = ["READ_EVERY_S", "RegistrySource", "registry_sources"]

READ_EVERY_S: Final = 1.0
"""Time between two readings, seconds."""


class RegistrySource:
    """The registry; a :class:`~bolide.balancer.members.member.MemberSource`.

    Args:
        store: Makes the store, not open yet; called for each watch.
        view: Tells who is there, and remembers it from watch to watch.
        wait: Lets time pass, seconds.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        view: RegistryView,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read nothing yet."""
        self._make_store = store
        self._view = view
        self._wait = wait

    @classmethod
    def at(
        cls, url: str, *, cluster: str, ca: str, denied: frozenset[str], insecure: bool = False
    ) -> "RegistrySource":
        """Return the source for a balancer's settings.

        Args:
            url: Of the store of the nodes.
            cluster: Name of the cluster.
            ca: PEM file with the authorities that are believed.
            denied: Fingerprints of certificates that are refused.
            insecure: Let MongoDB on another machine be used without TLS or a password.

        Raises:
            ConfigurationError: If the URL is that of no store, or the file cannot be used.
        """
        open_store(url, insecure=insecure)  # says what is wrong with the URL
        try:
            authorities = x509.load_pem_x509_certificates(Path(ca).read_bytes())
        except (OSError, ValueError):
            expected = "a PEM file with the authority of the cluster"
            raise ConfigurationError("nodes.tls.ca", ca, expected) from None
        view = RegistryView(cluster, authorities, denied)
        return cls(lambda: open_store(url, insecure=insecure), view)

    async def watch(self) -> AsyncGenerator[Sequence[Member]]:
        """Yield the members, at once and whenever there are others; raises what the store does."""
        store = self._make_store()
        store.declare({NODES})
        await store.open()
        try:
            self._view.resume()
            async with aclosing(self._views(store)) as views:
                async for members in views:
                    yield members
        finally:
            await store.close()

    async def _views(self, store: Store) -> AsyncGenerator[Sequence[Member]]:
        told: Sequence[Member] | None = None
        while True:
            found = await store.read(Query(collection=NODES, limit=MAX_REMEMBERED))
            members = self._view.receive(found.documents)
            if members != told:
                told = members
                yield members
            await self._wait(READ_EVERY_S)


def registry_sources(settings: BalancerSettings) -> dict[str, MemberSource]:
    """Return the source that a balancer's settings name, by what an operator calls it.

    Args:
        settings: ``nodes.registry``, ``nodes.insecure_registry``, ``nodes.tls.ca``, ``cluster`` and
            who is denied count.

    Raises:
        ConfigurationError: If one of them cannot work.
    """
    nodes = settings.nodes
    if not nodes.registry:
        return {}
    source = RegistrySource.at(
        nodes.registry,
        cluster=settings.cluster,
        ca=nodes.tls.ca,
        denied=settings.denied,
        insecure=nodes.insecure_registry,
    )
    return {"nodes.registry": source}

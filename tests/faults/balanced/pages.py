"""Browsers that ask for a page again and again, and note who answered."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field

import httpx

__all__ = ["Browser"]

_TIMEOUT_S = 20.0


@dataclass
class Browser:
    """Asks for the page of a node, with cookies, over connections that stay.

    Attributes:
        answered: How many requests were answered well.
        failures: Those that were not: when they began, and what came of them.
        changes: When another node answered than the one before, and which one.
        node: Who answered last.
        slowest_s: The longest that an answer took.
    """

    url: str
    context: ssl.SSLContext
    period_s: float
    answered: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    changes: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    node: str = ""
    slowest_s: float = 0.0

    async def browse(self) -> None:
        """Ask until cancelled."""
        async with httpx.AsyncClient(verify=self.context, timeout=_TIMEOUT_S) as client:
            due = time.monotonic()
            while True:
                began = time.monotonic()
                await self._ask(client, began)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                # This is the load, not a wait for something.
                due = max(due + self.period_s, time.monotonic())
                await asyncio.sleep(due - time.monotonic())

    async def _ask(self, client: httpx.AsyncClient, began: float) -> None:
        try:
            answer = await client.get(self.url)
        except httpx.HTTPError as error:
            self.failures.append((began, type(error).__name__))
            return
        if not answer.is_success:
            self.failures.append((began, str(answer.status_code)))
            return
        self.answered += 1
        node = answer.text.strip()
        if node != self.node:
            self.node = node
            self.changes.append((time.monotonic(), node))

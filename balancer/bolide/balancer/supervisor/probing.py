"""Ask every node again and again how it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from random import uniform
from time import monotonic
from typing import Final

import msgspec

from bolide.balancer.health.health import Probe
from bolide.balancer.members.member import Member
from bolide.balancer.supervisor.node_client import Answer, NodeClient

__all__ = ["Prober", "Report"]

_SPREAD: Final = 0.1
_OK: Final = 200
_UNAVAILABLE: Final = 503

_logger = logging.getLogger("bolide.balancer")


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe of a node found.

    Attributes:
        name: Of the node.
        probe: How it is.
        sessions: How many it has; None if it does not tell.
        why: Why it failed, a name without data; empty if it did not.
        took_s: From the question to the answer, seconds, with what TLS takes; None if there was
            no answer.
        run: What the node calls this run of its process; empty if it does not tell.
    """

    name: str
    probe: Probe
    sessions: int | None = None
    why: str = ""
    took_s: float | None = field(default=None, compare=False)
    run: str = ""


class Prober:
    """Asks nodes at their management listeners, or at their own addresses if they have none.

    Args:
        report: Takes what was found, each time.
        client: Asks.
        path: What is asked for.
        interval_s: Time between two questions to a node, give or take a tenth.
        wait: Lets time pass, seconds.
    """

    def __init__(
        self,
        report: Callable[[Report], None],
        client: NodeClient,
        *,
        path: str,
        interval_s: float,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin without nodes."""
        self._report = report
        self._wait = wait
        self._tasks: dict[Member, asyncio.Task[None]] = {}
        self.use(client, path=path, interval_s=interval_s)

    def use(self, client: NodeClient, *, path: str, interval_s: float) -> None:
        """Ask otherwise from the next question on."""
        self._client = client
        self._path = path
        self._interval_s = interval_s

    def keep(self, members: Iterable[Member]) -> None:
        """Ask these nodes, new ones at once, and no others."""
        wanted = set(members)
        for member in self._tasks.keys() - wanted:
            self._tasks.pop(member).cancel()
        for member in wanted - self._tasks.keys():
            self._tasks[member] = asyncio.create_task(self._ask_always(member))

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._tasks.values())
        self.keep(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_always(self, member: Member) -> None:
        last = ""
        while True:
            began = monotonic()
            report = await self._ask(member)
            if report.why and report.why != last:
                _logger.warning("node %s does not answer as it should: %s", member.name, report.why)
            elif not report.why:
                report = replace(report, took_s=monotonic() - began)
            last = report.why
            self._report(report)
            # Nodes are not all asked in the same moment, whenever they came.
            interval_s = self._interval_s * uniform(1 - _SPREAD, 1 + _SPREAD)
            await self._wait(max(began + interval_s - monotonic(), 0.0))

    async def _ask(self, member: Member) -> Report:
        try:
            answer = await self._client.ask(
                member.name,
                member.management or member.address,
                self._path,
                server_name=member.server_name,
            )
        except Exception as error:  # whatever it is, the next question is asked
            return Report(member.name, "failed", why=_reason(error))
        return _read(member.name, answer)


class _Ready(msgspec.Struct):
    """What a node of Bolide says; others may say anything."""

    ready: bool | None = None
    sessions: int | None = None
    run: str = ""


def _read(name: str, answer: Answer) -> Report:
    try:
        said = msgspec.json.decode(answer.body, type=_Ready)
    except msgspec.DecodeError:
        said = _Ready()
    sessions = said.sessions if said.sessions is None or said.sessions >= 0 else None
    if answer.status == _OK:
        return Report(name, "ready", sessions, run=said.run)
    if answer.status == _UNAVAILABLE and said.ready is False:
        return Report(name, "draining", sessions, run=said.run)
    return Report(name, "failed", why=f"status {answer.status}")


def _reason(error: Exception) -> str:
    """Name an error without what somebody else made up; an Untrusted has a word for it."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return f"{type(error).__name__} ({reason})" if reason else type(error).__name__

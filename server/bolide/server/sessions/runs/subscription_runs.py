"""The runs of one session's subscriptions: which there are, and when they have to run again."""

import asyncio
from typing import TYPE_CHECKING

from bolide.server.access.decisions import Difference, Question, decide
from bolide.server.publications.registry import Publication
from bolide.server.sessions.events import Subscription, Work
from bolide.server.sessions.runs.subscription_run import SubscriptionRun

if TYPE_CHECKING:
    from bolide.server.sessions.driver import SessionDriver

__all__ = ["SubscriptionRuns"]


class SubscriptionRuns:
    """The runs under way, by subscription.

    Args:
        driver: The session's driver.
    """

    __slots__ = ("_driver", "_refused", "_runs")

    def __init__(self, driver: "SessionDriver") -> None:
        """Begin without any."""
        self._driver = driver
        self._runs: dict[Subscription, SubscriptionRun] = {}
        # Universal publications that this person may not have: nobody else would ask again.
        self._refused: list[SubscriptionRun] = []

    def get(self, subscription: Subscription) -> SubscriptionRun | None:
        """Return the run of a subscription, if it is under way."""
        return self._runs.get(subscription)

    def start(self, subscription: Subscription, work: Work | None = None) -> None:
        """Run the publish function of a named subscription.

        Args:
            subscription: For which one.
            work: Its place in the session's queue; None if it does not stand there.
        """
        assert subscription.name is not None
        publication = self._driver.services.app.publications.find(subscription.name)
        self._start(SubscriptionRun(self._driver, subscription, publication, work))

    def start_universal(self) -> None:
        """Run all universal publications."""
        for publication in self._driver.services.app.publications.universal:
            self._start_universal(publication)

    def stop(self, subscription: Subscription) -> None:
        """Let go of a run, because its subscription ended."""
        run = self._runs.pop(subscription, None)
        if run is not None:
            self._driver.services.metrics.subscriptions.dec()
            run.stopped()
            if run.was_refused and subscription.is_universal:
                self._refused.append(run)

    async def renew(self, named: list[Subscription]) -> None:
        """Run everything for another user; returns when all have published their first documents.

        Args:
            named: The subscriptions that take the place of the former ones.
        """
        self._refused.clear()
        for subscription in named:
            self.start(subscription)
        self.start_universal()
        # All that run, not only these: a decision that changes meanwhile replaces some.
        await self.published()

    async def published(self) -> None:
        """Wait until every run has given its first documents, or come to its end."""
        # The end of one may let the next one begin.
        while under_way := [run for run in self._runs.values() if not run.first_done.is_set()]:
            await asyncio.gather(*(run.first_done.wait() for run in under_way))

    def ask_again(self) -> None:
        """Ask again what the runs were told, and run those again that are told otherwise.

        Where something is denied now, the documents are taken back before this returns. Where
        something is only allowed now, they stay until the new run's documents are there.
        """
        driver, subscriptions = self._driver, self._driver.session.subscriptions
        refused, self._refused = self._refused, []
        for ended in refused:
            if ended.publication is not None and self._difference(ended):
                self._start_universal(ended.publication)
            else:
                self._refused.append(ended)
        for subscription in subscriptions.running():
            run = self._runs.get(subscription)
            if run is None:  # it ended because of what happened to the others
                continue
            difference = self._difference(run)
            former = subscription.former
            if former is not None and former.is_active:
                was_lost = self._difference(self._runs[former]).lost
                difference = Difference(difference.lost or was_lost, difference.gained)
            if difference:
                keeps = subscription.is_ready and not difference.lost
                new = subscriptions.restart(
                    subscription, keeps_documents=keeps and driver.services.app.merges_all
                )
                if new is not None:
                    # Begun before the queue can go on: an unsub that waits there is to find it.
                    self._start(SubscriptionRun(driver, new, run.publication))
                driver.pump()

    # Inside

    def _difference(self, run: SubscriptionRun) -> Difference:
        def answer(question: Question) -> bool:
            return decide(question, self._driver.services.app.authorize, lambda: self._driver.log)

        return run.decisions.difference(answer)

    def _start_universal(self, publication: Publication) -> None:
        subscription = self._driver.session.subscriptions.begin_universal()
        self._start(SubscriptionRun(self._driver, subscription, publication))

    def _start(self, run: SubscriptionRun) -> None:
        self._driver.services.metrics.subscriptions.inc()
        self._runs[run.subscription] = run
        run.start()

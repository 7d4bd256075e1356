"""How the feed of a store fares that comes over a network: how late it is, and why it waits."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from bolide.server.clock import Clock

__all__ = ["FeedHealth", "HasFeedHealth"]


class FeedHealth:
    """How one feed fares; reasons are names of the store's, never values.

    Args:
        clock: The time.
        quiet_s: Silence that means nothing, because there may be nothing to tell, seconds.
        reopenings: Names of all reasons to open it again.
        losses: Names of all reasons why changes are missed.
        collections_lost: Names of all that may happen to a collection.

    Attributes:
        waits_because: Why nothing comes, in words; empty if all is well.
        reopenings: How often the feed was opened again, by reason.
        losses: How often changes were missed, so that everything was read again, by reason.
        collections_lost: How often one collection was read again as a whole, by what happened.
    """

    def __init__(
        self,
        clock: Clock,
        quiet_s: float = 0.0,
        *,
        reopenings: Iterable[str] = (),
        losses: Iterable[str] = (),
        collections_lost: Iterable[str] = (),
    ) -> None:
        """Begin well, and up to date."""
        self.waits_because = ""
        self.reopenings = Counter(dict.fromkeys(map(str, reopenings), 0))
        self.losses = Counter(dict.fromkeys(map(str, losses), 0))
        self.collections_lost = Counter(dict.fromkeys(map(str, collections_lost), 0))
        self._clock = clock
        self._quiet_s = quiet_s
        self._lag_s = 0.0
        self._heard_at: float | None = None
        self._waits_since = 0.0
        self._watchers: list[Callable[[], object]] = []

    @property
    def lag_s(self) -> float:
        """How far what was told is behind what the database holds, or may hold, seconds."""
        if self._heard_at is None:
            return 0.0
        silence_s = self._clock.now() - self._heard_at
        return self._lag_s + (silence_s if silence_s > self._quiet_s else 0.0)

    @property
    def waits_s(self) -> float:
        """How long it has waited, seconds; 0 if it does not."""
        return self._clock.now() - self._waits_since if self.waits_because else 0.0

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher`` whenever :attr:`waits_because` changes."""
        self._watchers.append(watcher)

    def heard(self, lag_s: float) -> None:
        """Learn that the database answered.

        Args:
            lag_s: How far the answer is behind what the database holds, seconds.
        """
        self._lag_s = lag_s
        self._heard_at = self._clock.now()

    def wait(self, because: str) -> None:
        """Learn that nothing comes, and why."""
        if not self.waits_because:
            self._waits_since = self._clock.now()
        self._change(because)

    def go_on(self) -> float:
        """Learn that all is well again; returns how long it was not, seconds."""
        waited_s = self.waits_s
        self._change("")
        return waited_s

    def _change(self, because: str) -> None:
        if because != self.waits_because:
            self.waits_because = because
            for watcher in self._watchers:
                watcher()


@runtime_checkable
class HasFeedHealth(Protocol):
    """A store whose feed comes over a network."""

    @property
    def feed_health(self) -> FeedHealth:
        """How it fares; the same object from the store's first moment to its last."""
        ...

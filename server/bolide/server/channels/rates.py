"""How often may be sent: messages of one session, and messages to one topic, in each second."""

from collections import Counter
from typing import Final

from bolide.core.errors import RateLimited

__all__ = ["SendRates"]

_INTERVAL_S: Final = 1.0


class SendRates:
    """Counts what was sent in the present second.

    Args:
        per_session: Most messages of one session, number per second.
        per_topic: Most messages to one topic, number per second.
        now: Monotonic time, seconds.
    """

    __slots__ = ("_per_session", "_per_topic", "_sessions", "_started", "_topics")

    def __init__(self, per_session: int, per_topic: int, now: float) -> None:
        """Begin at zero."""
        self._per_session = per_session
        self._per_topic = per_topic
        self._started = now
        self._sessions: Counter[str] = Counter()
        self._topics: Counter[tuple[str, str]] = Counter()

    def check(self, session: str | None, channel: str, topic: str, now: float) -> None:
        """Count a message.

        Args:
            session: Id of the session that sends it; None if the server itself does.
            channel: To which channel.
            topic: To which topic of it.
            now: Monotonic time, seconds.

        Raises:
            RateLimited: If there were too many; this one is not counted.
        """
        if now - self._started >= _INTERVAL_S:
            self._started = now
            self._sessions.clear()
            self._topics.clear()
        place = (channel, topic)
        if (session is not None and self._sessions[session] >= self._per_session) or self._topics[
            place
        ] >= self._per_topic:
            raise RateLimited(max(self._started + _INTERVAL_S - now, 0.001))
        if session is not None:
            self._sessions[session] += 1
        self._topics[place] += 1

"""What goes wrong with Redis, in fixed words: nothing that anybody sent is quoted."""

from typing import ClassVar

from bolide.core.errors import BolideError

__all__ = ["CommandRefused", "RedisAway", "RedisFull", "ReplyTooLarge"]


class RedisAway(BolideError):
    """Redis cannot be used now; trying again later may help."""

    code: ClassVar[str] = "redis-away"

    def __init__(self, reason: str) -> None:
        """Keep why.

        Args:
            reason: The end of a sentence that begins with Redis.
        """
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Say why."""
        return f"Redis {self.reason}."


class RedisFull(RedisAway):
    """It takes no writes for want of memory, and answers everything else."""

    code: ClassVar[str] = "redis-full"

    def __init__(self) -> None:
        """Say what helps."""
        super().__init__("is full: raise its maxmemory, or let it evict keys")


class ReplyTooLarge(RedisAway):
    """An answer is larger than any that Bolide can have asked for; it was not read."""

    code: ClassVar[str] = "redis-reply-too-large"

    def __init__(self) -> None:
        """Say so."""
        super().__init__("sent an answer that is too large")


class CommandRefused(RedisAway):
    """Redis answers, and refuses a command."""

    code: ClassVar[str] = "redis-refused"

    def __init__(self, word: str) -> None:
        """Keep Redis' own word.

        Args:
            word: The first one of its answer, such as ``ERR`` or ``MOVED``; never a value.
        """
        super().__init__(f"refused a command ({word})")
        self.word = word

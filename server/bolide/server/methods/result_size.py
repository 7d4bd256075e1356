"""The answer to a call whose result is larger than a result may be."""

from typing import ClassVar

from bolide.core.errors import MethodError

__all__ = ["ResultTooLarge"]


class ResultTooLarge(MethodError):
    """A method ended, and what it returned was not sent: a client may not take so much."""

    code: ClassVar[str] = "result-too-large"

    def __init__(self, size: int, limit: int) -> None:
        """Say how much it was.

        Args:
            size: Of the message, bytes.
            limit: What it may take, bytes.
        """
        super().__init__(
            "result-too-large",
            f"The method ended, but its result takes {size} bytes, and one may take {limit}"
            " (max_result_bytes): return less at a time.",
            {"size": size, "limit": limit},
        )

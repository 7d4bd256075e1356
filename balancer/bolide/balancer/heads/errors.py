"""What is wrong with what a peer sent."""

__all__ = ["HeadError"]


class HeadError(Exception):
    """A head or a body that is refused; its connection must end.

    Attributes:
        status: What a client is answered: 4xx or 5xx; 502 for what a node sent.
        name: A fixed word for logs and metrics; never a byte of what came.
    """

    def __init__(self, status: int, name: str) -> None:
        """Name what is wrong."""
        super().__init__(status, name)
        self.status = status
        self.name = name

    def __str__(self) -> str:
        return f"{self.status} {self.name}"

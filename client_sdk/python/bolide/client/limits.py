"""Name every limit on what a server, or the program itself, can make a client hold."""

from dataclasses import dataclass, fields

from bolide.core.errors import ConfigurationError

__all__ = ["ClientLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What one client may use, at most.

    Attributes:
        max_frame_bytes: Size of one frame from the server, bytes; a larger one ends the connection.
        max_calls: Calls made and not yet finished, sent or not.
        max_subscriptions: Different subscriptions at the same time.
        max_in_flight: Calls and subscriptions that were sent and are not answered yet; more wait
            here, because a server cuts a client that sends faster than it handles.
        max_unsent_frames: Frames that wait for a server that does not read.
        max_resync_documents: Documents that may be held for a resync to be asked for; must not be
            above the server's ``max_resync_ids``, which closes the session.
        max_resync_chunk_bytes: Size of one message with digests in a resync, bytes; must be below
            the server's ``max_message_bytes``.
        max_stub_operations: Documents that the stubs of one call may write, and calls they may
            make.
        max_channel_messages: Messages of one channel that wait for one reader.

    Raises:
        ConfigurationError: If a limit is below 1.
    """

    max_frame_bytes: int = 16_777_216
    max_calls: int = 1_000
    max_subscriptions: int = 1_000
    max_in_flight: int = 100
    max_unsent_frames: int = 10_000
    max_resync_documents: int = 100_000
    max_resync_chunk_bytes: int = 524_288
    max_stub_operations: int = 1_000
    max_channel_messages: int = 1_000

    def __post_init__(self) -> None:
        """Refuse a limit that would let nothing through."""
        for limit in fields(self):
            value: int = getattr(self, limit.name)
            if value < 1:
                raise ConfigurationError(limit.name, value, "a whole number above 0")

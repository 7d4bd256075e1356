"""Publish hints: which documents another program wrote, so that polled queries are read again."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import ClassVar, Final

from bson import ObjectId
from bson.errors import InvalidId

from bolide.core.errors import BolideError, ConfigurationError
from bolide.core.values import EJSONValue
from bolide.ops.terminal.words import WrongWord, read_words
from bolide.server.redis.errors import RedisAway
from bolide.server.redis.hint_entries import BadEntry, Hint, entry_fields
from bolide.server.redis.setting import address_of
from bolide.server.settings import Settings

__all__ = ["FeedFailed", "publish"]

_BATCH: Final = 1_000


class FeedFailed(BolideError):
    """Not all hints were published."""

    code: ClassVar[str] = "feed-failed"

    def __init__(self, what: str, published: int) -> None:
        """Keep what happened.

        Args:
            what: A sentence.
            published: How many were published before.
        """
        super().__init__(what, published)
        self.what = what
        self.published = published

    def __str__(self) -> str:
        """Say what happened, and how far it went."""
        before = f" {self.published} hints were published before it." if self.published else ""
        return f"{self.what}{before}"


async def publish(
    settings: Settings, collection: str, ids: Iterable[str], *, are_oids: bool = False
) -> int:
    """Publish one hint for each id; return how many.

    Args:
        settings: Where Redis is, and the stream.
        collection: Where the documents are.
        ids: As a person types them; an iterator is read a thousand at a time.
        are_oids: They are the 24 digits of ObjectIds.

    Raises:
        ConfigurationError: If the settings name no Redis, or one that cannot be used.
        FeedFailed: If an id is none, or Redis does not take them.
    """
    address = address_of(settings)
    if address is None:
        raise ConfigurationError("redis", None, "set: --redis URL, or BOLIDE_REDIS")
    # The driver comes with an extra.
    from bolide.server.redis.connection import RedisConnection
    from bolide.server.redis.discovery import locate
    from bolide.server.redis.hint_stream import publish_hints

    published = 0
    try:
        host = await locate(address, settings.redis_stream)
        connection = await RedisConnection.open(address, host)
        try:
            for batch in _batches(ids):
                entries = [
                    _entry(collection, text, number, are_oids, published)
                    for number, text in enumerate(batch, published + 1)
                ]
                await publish_hints(connection, settings.redis_stream, entries)
                published += len(entries)
        finally:
            await connection.close()
    except RedisAway as error:
        raise FeedFailed(
            f"{error} It is that of BOLIDE_REDIS or --redis, {address.shown}.", published
        ) from error
    return published


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _entry(
    collection: str, text: str, number: int, are_oids: bool, published: int
) -> tuple[str, ...]:
    """Make an entry.

    Raises:
        FeedFailed: If there is none; the id, which may be a patient's, is not repeated.
    """
    try:
        return entry_fields(Hint(collection, _id(text, are_oids)))
    except InvalidId:
        what = f"Id {number} is no ObjectId: write its 24 hexadecimal digits."
    except WrongWord:
        what = f"""Id {number} begins like JSON and is none: write p01, '"7"', or 7."""
    except BadEntry as error:
        what = f"With id {number} the hint is {error.outcome}. {error}"
    raise FeedFailed(what, published)


def _id(text: str, is_oid: bool) -> EJSONValue:
    if is_oid:
        return ObjectId(text)
    (id,) = read_words([text])
    return id

"""What a client says in a resync: digests instead of documents.

Sans-I/O. ``docs/reference/ddp-extensions.md`` specifies it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bolide.core.ddp.digests import view_digest
from bolide.core.ddp.messages import Have, Resync
from bolide.core.ejson import stringify

__all__ = ["ask_for_resync", "chunks_of_digests"]

# A digest in quotes, a colon and a comma; of a collection also two braces.
_ENTRY_BYTES: Final = 26
_COLLECTION_BYTES: Final = 4
# {"msg":"bolide.resync","have":{},"more":true}
_MESSAGE_BYTES: Final = 45


def ask_for_resync(subs: Iterable[str], digests: Mapping[str, Mapping[str, bytes]]) -> Resync:
    """Make the first message.

    Args:
        subs: Ids of the subscriptions that were sent before.
        digests: Collection -> id as on the wire -> digest of what is shown.
    """
    views = {name: view_digest(documents) for name, documents in digests.items()}
    return Resync(tuple(subs), views)


def chunks_of_digests(
    wanted: Iterable[str], digests: Mapping[str, Mapping[str, bytes]], max_bytes: int
) -> Iterator[Have]:
    """Make the messages that answer ``want``; none where nothing is wanted.

    Args:
        wanted: Collections, in the order they are told.
        digests: Collection -> id as on the wire -> digest of what is shown.
        max_bytes: Size of one message; one with a single document may be larger.
    """
    chunk: dict[str, dict[str, bytes]] = {}
    size = _MESSAGE_BYTES
    count = 0
    for name in dict.fromkeys(wanted):
        name_bytes = _size(name) + _COLLECTION_BYTES
        chunk[name] = {}
        size += name_bytes
        for document_id, digest in digests.get(name, {}).items():
            entry_bytes = _size(document_id) + _ENTRY_BYTES
            if count and size + entry_bytes > max_bytes:
                yield Have(chunk, more=True)
                chunk = dict[str, dict[str, bytes]]({name: {}})
                size, count = _MESSAGE_BYTES + name_bytes, 0
            chunk[name][document_id] = digest
            size += entry_bytes
            count += 1
    if chunk:
        yield Have(chunk)


def _size(text: str) -> int:
    """Count the bytes of a text in JSON, its quotes included."""
    return len(stringify(text).encode())

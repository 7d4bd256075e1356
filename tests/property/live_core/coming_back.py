"""A resync as the client sees it: what it still holds, what it says of it, what it must not get."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.property.live_core.model import View

from bolide.core.ddp.digests import document_digest, view_digest
from bolide.core.ddp.ids import id_stringify
from bolide.core.ddp.messages import Have, Resync
from bolide.core.keys import key_of

__all__ = ["CHANGED", "FORGOTTEN", "STRAY", "ComingBack", "damage"]

CHANGED: Final = 1
"""A document is not as the server sent it: it has to be replaced, or taken away."""

STRAY: Final = 2
"""There is a document that no server ever sent: it has to be taken away."""

FORGOTTEN: Final = 4
"""A document is lost: it has to be sent again."""


def damage(views: dict[str, View], kinds: int) -> None:
    """Let what a client holds be wrong.

    Args:
        views: Collection -> documents; changed.
        kinds: Sum of :data:`CHANGED`, :data:`STRAY` and :data:`FORGOTTEN`, for each collection.
    """
    for name, held in views.items():
        view: View = dict(held)
        keys = list(view)
        if kinds & FORGOTTEN and keys:
            del view[keys[-1]]
        if kinds & CHANGED and keys and keys[0] in view:
            view[keys[0]] = {**view[keys[0]], "n": 77, "spoilt": True}
        if kinds & STRAY:
            stray: dict[str, Any] = {"_id": "stray", "n": 1}
            view[key_of("stray")] = stray
        views[name] = view


class ComingBack:
    """One resync from ``connect`` until the client told what it holds.

    Args:
        views: Collection -> what the client shows; not changed until the resync is over.
        chunk: How many documents one message may name.

    Attributes:
        is_asked: The server was told what to compare.
    """

    def __init__(self, views: Mapping[str, View], chunk: int) -> None:
        self._chunk = chunk
        self._digests = {
            name: {id_stringify(d["_id"]): document_digest(_fields(d)) for d in view.values()}
            for name, view in views.items()
            if view
        }
        self._keys = {name: set(view) for name, view in views.items()}
        self.is_asked = False

    def ask(self, subs: Sequence[str]) -> Resync:
        """Say what is shown, as one digest for each collection."""
        self.is_asked = True
        views = {name: view_digest(documents) for name, documents in self._digests.items()}
        return Resync(tuple(subs), views)

    def tell(self, wanted: Sequence[str]) -> list[Have]:
        """Say what is shown of these collections, document by document."""
        assert len(set(wanted)) == len(wanted), f"{wanted} is wanted twice"
        assert self._digests.keys() >= set(wanted), f"{wanted} is wanted and was not offered"
        entries = [
            (name, id, digest) for name in wanted for id, digest in self._digests[name].items()
        ]
        chunks: list[Have] = []
        for start in range(0, len(entries), self._chunk):
            views: dict[str, dict[str, bytes]] = {}
            for name, id, digest in entries[start : start + self._chunk]:
                views.setdefault(name, {})[id] = digest
            chunks.append(Have(views, more=start + self._chunk < len(entries)))
        return chunks

    def held(self, collection: str, key: object) -> bool:
        """Tell whether a document was shown from before."""
        return key in self._keys.get(collection, ())


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}

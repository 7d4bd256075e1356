"""Documents that match a live query and cannot be sent: they hold a value that EJSON does not have.

They are left out, the others are shown; who runs the node is told which document it is and which
field, and never the value. One that is changed so that it can be sent is shown from then on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from bolide.core.ddp.ids import id_stringify
from bolide.core.foreign import find_foreign
from bolide.core.keys import Key
from bolide.server.livequery.advice.shape import path_shape
from bolide.server.telemetry.metrics import Metrics

__all__ = ["MAX_TOLD", "HiddenDocument", "HiddenDocuments", "tell_of"]

MAX_TOLD: Final = 20
"""Most documents that are named in the log at one time, for one live query."""

_log = structlog.get_logger("bolide.livequery")


@dataclass(frozen=True, slots=True)
class HiddenDocument:
    """A document that is left out.

    Attributes:
        id: Its ``_id``.
        path: Of the first value that cannot be sent.
        type: Of that value, as BSON calls it.
    """

    id: Any
    path: str
    type: str


class HiddenDocuments:
    """Those of one live query."""

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: set[Key] = set()
        self._news: list[HiddenDocument] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def check(self, key: Key, id: Any, fields: Mapping[str, Any]) -> bool:
        """Tell whether a document can be sent, and remember it if not.

        Args:
            key: Of its ``_id``.
            id: Its ``_id``.
            fields: What would be sent beside it.
        """
        found = find_foreign(fields)
        if type(id) is not str:
            found = find_foreign({"_id": id}) or found
        if found is None:
            self._keys.discard(key)
            return True
        if key not in self._keys:
            self._keys.add(key)
            self._news.append(HiddenDocument(id, *found))
        return False

    def forget(self, key: Key) -> None:
        """Note that a document is not in the result; harmless if it never was."""
        self._keys.discard(key)

    def take_news(self) -> Sequence[HiddenDocument]:
        """Return those that nobody was told of."""
        news, self._news = self._news, []
        return news


def tell_of(news: Sequence[HiddenDocument], collection: str, metrics: Metrics) -> None:
    """Log and count documents that are left out."""
    metrics.documents_hidden.labels(collection).inc(len(news))
    for hidden in news[:MAX_TOLD]:
        _log.error(
            "a document cannot be sent and is left out",
            collection=collection, document=_name_of(hidden.id),
            field=path_shape(hidden.path), type=hidden.type,
        )  # fmt: skip
    if len(news) > MAX_TOLD:
        _log.error(
            "more documents cannot be sent and are left out",
            collection=collection, documents=len(news) - MAX_TOLD,
        )  # fmt: skip


def _name_of(id: Any) -> str:
    return f"a {type(id).__name__}" if find_foreign({"_id": id}) else id_stringify(id)

"""The wants of siblings that go into the same queries, and the documents that these found.

A tree, sans-I/O: the published cursor is a group with one want; each of its documents is a parent
whose child functions have wants in groups below it; their documents are parents in turn.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from bolide.core.ddp.messages import Removed
from bolide.core.keys import Key, key_of
from bolide.core.values import Fields
from bolide.server.livequery.live_queries import Following
from bolide.server.publications.joins.parent_view import ParentView, ShownFields
from bolide.server.publications.joins.partition import Chunk, Partition, Place
from bolide.server.publications.joins.wanted import Wanted, merged_query
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Query

__all__ = ["Group", "Link", "Listener", "Parent", "Source"]


class Listener(Protocol):
    """Who is told what the sources of a group are told."""

    def source_changed(self, source: "Source", changes: Sequence[ViewChange]) -> None:
        """Take what changed in one turn."""
        ...

    def source_failed(self, source: "Source", error: Exception) -> None:
        """Learn that a query cannot be followed any longer."""
        ...


class Source:
    """One followed query of one subscription; follower of a live query.

    Attributes:
        group: Whose wants it serves.
        query: What is followed.
        chunk: The values of the pivot in it.
        parents: Keys of its documents, if they have children.
        following: While it is followed.
        is_ended: Nothing it is told counts any more.
    """

    __slots__ = ("_listener", "chunk", "following", "group", "is_ended", "parents", "query")

    def __init__(self, listener: Listener, group: "Group", query: Query, chunk: Chunk) -> None:
        """Prepare it; nothing is followed yet."""
        self._listener = listener
        self.group = group
        self.query = query
        self.chunk = chunk
        self.parents: set[Key] = set()
        self.following: Following | None = None
        self.is_ended = False

    def view_joined(self, view: FollowedView) -> None:
        """Pass on the whole result."""
        if len(view):
            self.view_changed(view.initial())

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Pass on what changed in the query's result."""
        # One that ended may still be in the round of calls that ended it.
        if not self.is_ended:
            self._listener.source_changed(self, changes)

    def view_failed(self, error: Exception) -> None:
        """Pass on that the query cannot be followed any longer."""
        if not self.is_ended:
            self._listener.source_failed(self, error)

    def end(self) -> None:
        """Follow no longer."""
        self.is_ended = True
        if self.following is not None:
            self.following.stop()
            self.following = None


class Link:
    """What one child function wants for one parent.

    Attributes:
        view: What the function read it from.
        group: Where the want is counted; None if it returned None.
        values: The wanted values of the group's pivot.
    """

    __slots__ = ("group", "values", "view")

    def __init__(self, view: ParentView, group: "Group | None", values: Mapping[Key, Any]) -> None:
        """Keep it; whoever makes it counts the want."""
        self.view = view
        self.group = group
        self.values = values


class Parent:
    """A document whose child functions have to be asked.

    Attributes:
        id: Its ``_id``.
        fields: Its published fields; shared, never to be changed.
        sources: The sources that hold it; without any it has left.
        links: One for each child function; None before it was asked.
    """

    __slots__ = ("fields", "id", "links", "sources")

    def __init__(self, id: Any, fields: Fields, functions: int) -> None:
        """Begin without an answer of the child functions."""
        self.id = id
        self.fields = fields
        self.sources: set[Source] = set()
        self.links: list[Link | None] = [None] * functions

    def is_answered(self) -> bool:
        """Tell whether the answers of all child functions are those to its present fields."""
        return all(link and not link.view.has_other(self.fields) for link in self.links)

    def show(self) -> None:
        """Let functions that captured it read its present fields."""
        for link in self.links:
            if link is not None:
                link.view.show(self.fields)


class Group:
    """Wants with one key, at one place of the tree.

    Attributes:
        wanted: One of the wants; all are equal but for the values of the pivot.
        level: 0 is the published cursor.
        parents: Its documents, by key; none are kept if they have no children.
        stale: Keys of the parents whose child functions have to be asked.
        shown: What a child function may read of its documents.
    """

    def __init__(
        self, wanted: Wanted, level: int, most_values: int, siblings: "dict[Hashable, Group]"
    ) -> None:
        """Begin without a want.

        Args:
            wanted: The first want.
            level: 0 is the published cursor.
            most_values: Most values of the pivot in one query.
            siblings: The groups at the same place, by the keys of their wants; it adds itself.
        """
        self.wanted = wanted
        self.level = level
        self.parents: dict[Key, Parent] = {}
        self.stale: dict[Key, None] = {}
        self.shown = ShownFields(wanted.query.collection, wanted.query.projection)
        self._below: list[dict[Hashable, Group]] = [{} for _ in wanted.children]
        self._siblings = siblings
        self._counts: dict[Key, int] = {}
        self._partition = Partition(most_values)
        self._sources: dict[Place, Source] = {}
        siblings[wanted.key] = self

    def below(self, function: int) -> "dict[Hashable, Group]":
        """Return the groups of the wants of one child function, by their keys."""
        return self._below[function]

    def want(self, values: Mapping[Key, Any]) -> None:
        """Count a want."""
        for key, value in values.items():
            count = self._counts.get(key, 0)
            self._counts[key] = count + 1
            if not count:
                self._partition.add(key, value)

    def release(self, values: Mapping[Key, Any]) -> None:
        """Count a want no longer."""
        for key in values:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                self._partition.remove(key)

    def plan(self, listener: Listener) -> tuple[list[Source], list[Source]]:
        """Find out which queries serve the present wants.

        Args:
            listener: Of the new sources.

        Returns:
            Sources to be followed, and then sources to be ended.
        """
        opened: list[Source] = []
        ended: list[Source] = []
        for place, chunk in self._partition.take_altered().items():
            old = self._sources.get(place)
            if old is not None:
                if old.chunk.keys() == chunk.keys():
                    continue
                ended.append(self._sources.pop(place))
            if chunk:
                query = merged_query(self.wanted, chunk)
                opened.append(Source(listener, self, query, dict(chunk)))
                self._sources[place] = opened[-1]
        if not self._sources and self._siblings.get(self.wanted.key) is self:
            del self._siblings[self.wanted.key]
        return opened, ended

    def take(self, source: Source, changes: Sequence[ViewChange]) -> None:
        """Keep what a source was told of its documents, and find those that are stale now."""
        if not self.wanted.children:
            return
        for change in changes:
            message = change.message
            key = key_of(message.id)
            if isinstance(message, Removed):
                source.parents.discard(key)
                self._leave(key, source)
                continue
            source.parents.add(key)
            parent = self.parents.get(key)
            if parent is None:
                parent = Parent(message.id, change.fields, len(self.wanted.children))
                self.parents[key] = parent
            parent.sources.add(source)
            parent.fields = change.fields
            if parent.is_answered():
                parent.show()
            else:
                self.stale[key] = None

    def forget(self, source: Source) -> None:
        """Let go of the documents of a source that ended."""
        for key in source.parents:
            self._leave(key, source)

    def _leave(self, key: Key, source: Source) -> None:
        parent = self.parents[key]
        parent.sources.discard(source)
        if not parent.sources:
            self.stale[key] = None

"""The mutations: one deliberate mistake each, and the tests that must notice it.

A mistake is a text of a source file that is replaced by another one; it must be there exactly
once, so that a mutation that no longer fits the code is noticed.
"""

from dataclasses import dataclass

__all__ = ["MUTATIONS", "Mutation"]

_LIVE_QUERIES = "server/bolide/server/livequery/live_queries.py"
_MULTIPLEXER = "server/bolide/server/livequery/multiplexer.py"
_MERGE_BOX = "server/bolide/server/sessions/mergebox.py"
_SESSION = "server/bolide/server/sessions/session.py"
_VIEW_CHANGE = "server/bolide/server/sessions/view_change.py"
_SUBSCRIPTION = "server/bolide/server/sessions/subscription_run.py"
_GATEWAY = "server/bolide/server/access/gateway.py"
_MEMORY = "server/bolide/server/stores/memory.py"
_SQLITE_FILE = "server/bolide/server/stores/sqlite_file.py"
_SQLITE_WRITER = "server/bolide/server/stores/_sqlite_writer.py"
_WAKE_UP = "server/bolide/server/stores/_wakeup.py"

_MACHINE = "tests/property/live_core/test_live_core.py"
_ON_MEMORY = (f"{_MACHINE}::test_views_are_right_at_rest_and_on_the_way[memory]",)
_ON_SQLITE = (f"{_MACHINE}::test_views_are_right_at_rest_and_on_the_way[sqlite]",)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake.

    Attributes:
        name: For the table and the command line.
        path: The source file, from the root of the repository.
        before: What stands there, once.
        after: What is put in its place.
        breaks: Which promise is broken.
        tests: What is given to pytest; one of these tests must fail.
    """

    name: str
    path: str
    before: str
    after: str
    breaks: str
    tests: tuple[str, ...] = _ON_MEMORY


MUTATIONS = (
    Mutation(
        "router forgets a query",
        _LIVE_QUERIES,
        "for multiplexer in tuple(self._by_key.values()):\n            changes =",
        "for multiplexer in tuple(self._by_key.values())[:3]:\n            changes =",
        "a change reaches every query that it affects",
    ),
    Mutation(
        "early changes are dropped",
        _MULTIPLEXER,
        "            self._early.append(changes)",
        "            pass",
        "what happens during the first read is not missed",
    ),
    Mutation(
        "old changes are applied again",
        _MULTIPLEXER,
        "if not change.position <= position]",
        "]",
        "a snapshot joins the feed at its own position",
    ),
    Mutation(
        "ready before the first documents",
        _SUBSCRIPTION,
        "        await asyncio.gather(*(self._follow(cursor) for cursor in cursors))\n"
        "        self.ready()",
        "        self.ready()\n"
        "        await asyncio.gather(*(self._follow(cursor) for cursor in cursors))",
        "ready implies its data",
    ),
    Mutation(
        "lost history is ignored",
        _LIVE_QUERIES,
        "            multiplexer.history_lost(position)",
        "            pass",
        "history may be lost, results may not",
    ),
    Mutation(
        "history lost during the first read is ignored",
        _MULTIPLEXER,
        "            # The first reading may lie before the gap.\n"
        "            self._stale_since = position",
        "            pass",
        "a first read from before the gap is read again",
    ),
    Mutation(
        "a gap in the file is not noticed",
        _SQLITE_FILE,
        "        if rows and rows[0][0] != position + 1:\n            return None\n",
        "",
        "a process that fell behind knows it",
        _ON_SQLITE,
    ),
    Mutation(
        "a dropped collection is ignored",
        _MULTIPLEXER,
        "lost = any(change.kind is ChangeKind.COLLECTION_LOST for change in changes)",
        "lost = False",
        "what is dropped leaves every view",
    ),
    Mutation(
        "feed out of order",
        _MEMORY,
        "ChangeBatch(self._database.position, changes)",
        "ChangeBatch(self._database.position, changes[::-1])",
        "changes come in the order of their commits",
    ),
    Mutation(
        "transaction in pieces",
        _LIVE_QUERIES,
        "                multiplexer.changes_received(changes)",
        "                multiplexer.changes_received(changes[:1])\n"
        "                loop = asyncio.get_running_loop()\n"
        "                if changes[1:]:\n"
        "                    loop.call_soon(\n"
        "                        loop.call_soon, multiplexer.changes_received, changes[1:]\n"
        "                    )",
        "a transaction is seen whole or not at all",
    ),
    Mutation(
        "the fence does not wait for the feed",
        _LIVE_QUERIES,
        "            await self._store.feed_reached(position)\n",
        "",
        "updated implies its data",
        _ON_SQLITE,
    ),
    Mutation(
        "the fence does not wait for windows",
        _LIVE_QUERIES,
        "            await asyncio.gather(*(multiplexer.settled(position) for"
        " multiplexer in touched))\n",
        "            del touched\n",
        "updated implies its data, in windows too",
    ),
    Mutation(
        "the fence forgets transactions",
        _GATEWAY,
        "            invocation.wrote(transaction.receipt)",
        "            pass",
        "updated implies the data of a transaction",
        _ON_MEMORY,
    ),
    Mutation(
        "a window misses what enters it",
        _MULTIPLEXER,
        "            or (change.after is not None and self._matcher.matches(change.after))\n",
        "",
        "a document that enters a window is shown",
    ),
    Mutation(
        "a window misses what happens while it is read",
        _MULTIPLEXER,
        "        if self._stale_since is not None and not self._is_closed:\n"
        "            self._reread(self._stale_since)\n",
        "",
        "a burst ends in the last state",
    ),
    Mutation(
        "a field that is gone stays",
        _VIEW_CHANGE,
        "    changes.update({name: UNDEFINED for name in old if name not in new})\n",
        "",
        "a field that was removed leaves the view",
    ),
    Mutation(
        "merge box: the last subscription wins",
        _MERGE_BOX,
        "        claims.append(_Claim(owner, value))",
        "        claims.insert(0, _Claim(owner, value))",
        "the first subscription that claims a field has it",
        ("tests/unit/server/sessions/test_mergebox.py",),
    ),
    Mutation(
        "merge box: a document stays for who left",
        _MERGE_BOX,
        "        owners.discard(owner)\n        if not owners:\n",
        "        if not owners:\n",
        "a document leaves with its last subscription",
    ),
    Mutation(
        "merge box: a document leaves with the first who lets go",
        _MERGE_BOX,
        "                if users:\n                    return None\n",
        "",
        "a document that is not merged stays while anybody uses it",
    ),
    Mutation(
        "a field of another subscription does not come back",
        _MERGE_BOX,
        "            if not equals(claims[0].value, left[0].value):\n"
        "                visible[name] = left[0].value\n",
        "",
        "when the first claim ends the next one shows",
        ("tests/unit/server/sessions/test_mergebox.py",),
    ),
    Mutation(
        "a user change keeps what only the old user may see",
        _MERGE_BOX,
        "            yield from (Removed(name, id) for key, (id, _) in old.items()"
        " if key not in new)\n",
        "",
        "after a user change only the new user's documents are left",
    ),
    Mutation(
        "documents pass a user change",
        _SESSION,
        "return self._before is not None and self._merge_box.is_merged(message.collection)",
        "return False",
        "a user change is one difference",
    ),
    Mutation(
        "reads do not see other processes",
        _SQLITE_WRITER,
        "            if version != self._data_version:",
        "            if False:",
        "who changes the process reads his own writes",
        ("tests/integration/sqlite/test_processes.py",),
    ),
    Mutation(
        "nobody is woken",
        _WAKE_UP,
        '                self._socket.sendto(b"!", f"{self._reach}/{name}")',
        "                pass",
        "a commit wakes the other processes",
        ("tests/integration/sqlite/test_processes.py::test_processes_wake_each_other",),
    ),
)

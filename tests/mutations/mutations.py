"""The mutations of live queries and stores, and all of them together.

A mistake is a text of a source file that is replaced by another one; it must be there exactly
once, so that a mutation that no longer fits the code is noticed.
"""

from tests.mutations.mutation import ON_MEMORY, ON_SQLITE, Mutation
from tests.mutations.session_mutations import SESSION_MUTATIONS

__all__ = ["MUTATIONS"]

_LIVE_QUERIES = "server/bolide/server/livequery/live_queries.py"
_MULTIPLEXER = "server/bolide/server/livequery/multiplexer.py"
_ROUTER = "server/bolide/server/livequery/routing/router.py"
_RESULT = "server/bolide/server/livequery/result.py"
_FOLLOWERS = "server/bolide/server/livequery/followers.py"
_JOIN = "server/bolide/server/publications/joins/join.py"
_SUBSCRIPTION = "server/bolide/server/sessions/runs/subscription_run.py"
_GATEWAY = "server/bolide/server/access/gateway.py"
_MEMORY = "server/bolide/server/stores/memory.py"
_MONGO_ASSEMBLY = "server/bolide/server/stores/mongo/feed/assembly.py"
_MONGO_CACHE = "server/bolide/server/stores/mongo/feed/cache.py"
_SQLITE_FILE = "server/bolide/server/stores/sqlite/file.py"
_SQLITE_WRITER = "server/bolide/server/stores/sqlite/writer.py"
_WAKE_UP = "server/bolide/server/stores/sqlite/wakeup.py"

_POLLED = "tests/unit/server/livequery/test_polled_queries.py"
_LIVE = "tests/unit/server/livequery/test_live_queries.py"
_JOINS = ("tests/unit/server/publications/joins", "tests/property/test_joins.py")

MUTATIONS = (
    Mutation(
        "router: forgets who holds a document",
        _ROUTER,
        "        if holder is not None:\n            found[holder] = None\n",
        "        if False:\n            found[holder] = None\n",
        "a document that stops matching leaves the queries that hold it",
    ),
    Mutation(
        "router: does not look into arrays",
        _ROUTER,
        "            if not is_array(value):\n",
        "            if True:\n",
        "a query is found by each element of an array",
    ),
    Mutation(
        "router: a range is open where it is closed",
        _ROUTER,
        "least, greatest = spans.get(kind, (key, key))",
        "least = greatest = key",
        "a query is found by all values of an array together",
        ("tests/unit/server/livequery/routing/test_router.py",),
    ),
    Mutation(
        "early changes are dropped",
        _MULTIPLEXER,
        "        self._early.append((changes, position))\n"
        "        self._kept += len(changes)\n"
        "        if self._kept",
        "        if self._kept",
        "what happens during the first read is not missed",
    ),
    Mutation(
        "old changes are applied again",
        _MULTIPLEXER,
        "new = [change for change in changes if not change.position <= before]",
        "new = list(changes)",
        "a snapshot joins the feed at its own position",
        (_LIVE,),
    ),
    Mutation(
        "too many kept changes are forgotten",
        _MULTIPLEXER,
        '        self._outdate(position, "too many changes")\n',
        "",
        "changes that are not kept are read",
        ("tests/unit/server/livequery",),
    ),
    Mutation(
        "ready before the first documents",
        _SUBSCRIPTION,
        "        await asyncio.gather(\n            *(self._follow_query(query)",
        "        self.ready()\n"
        "        await asyncio.gather(\n            *(self._follow_query(query)",
        "ready implies its data",
    ),
    Mutation(
        "history lost during the first read is ignored",
        _MULTIPLEXER,
        "self._stale_since, self._stale_because = position, because\n        elif",
        "pass\n        elif",
        "a first read from before the gap is read again",
        (_LIVE,),
    ),
    Mutation(
        "a dropped collection is ignored",
        _MULTIPLEXER,
        "                    if change.kind is ChangeKind.COLLECTION_LOST:\n",
        "                    if change.kind is ChangeKind.COLLECTION_LOST:\n"
        "                        continue\n"
        "                    if False:\n",
        "what is dropped leaves every view",
    ),
    Mutation(
        "transaction in pieces",
        _LIVE_QUERIES,
        "        for multiplexer, changes, last in tuple(self._router.route(batch.changes)):\n"
        "            multiplexer.changes_received(changes, last.position)\n",
        "        later = asyncio.get_running_loop().call_soon\n"
        "        for number, change in enumerate(batch.changes):\n"
        "            for multiplexer, some, last in tuple(self._router.route([change])):\n"
        "                if number:\n"
        "                    later(later, multiplexer.changes_received, some, last.position)\n"
        "                else:\n"
        "                    multiplexer.changes_received(some, last.position)\n",
        "a transaction is seen whole or not at all",
    ),
    Mutation(
        "the fence does not wait for joins",
        _LIVE_QUERIES,
        "        await self.dependents.settled(fence.keys())\n",
        "",
        "updated implies the children of what was written",
        ("tests/property/test_joins.py", "tests/unit/server/publications/joins"),
    ),
    Mutation(
        "join: lets go before it follows",
        _JOIN,
        "        async with asyncio.TaskGroup() as tasks:\n"
        "            for source in opened:\n"
        "                tasks.create_task(self._open(source))\n"
        "        for source in ended:\n"
        "            self._end(source)\n",
        "        for source in ended:\n"
        "            self._end(source)\n"
        "        async with asyncio.TaskGroup() as tasks:\n"
        "            for source in opened:\n"
        "                tasks.create_task(self._open(source))\n",
        "what two queries share stays in the client without a word",
        _JOINS,
    ),
    Mutation(
        "window: is not read when it runs dry",
        _RESULT,
        "        return not self._window.must_be_read\n",
        "        return True\n",
        "what follows moves up into a window",
        ("tests/unit/server/livequery", *ON_MEMORY),
    ),
    Mutation(
        "window: ties are not broken by _id",
        _RESULT,
        "            Sorter(with_id(query.sort)),\n",
        "            Sorter(query.sort),\n",
        "equal sort keys have one order",
        ("tests/unit/server/livequery/test_result.py", _LIVE),
    ),
    Mutation(
        "window: misses what enters it",
        _RESULT,
        "            self._window.put(key, after)\n",
        "            if key in self._window:\n                self._window.put(key, after)\n",
        "a document that enters a window is shown",
    ),
    Mutation(
        "a burst ends before its last state",
        _MULTIPLEXER,
        "        if self._asks > self._answered or self._stale_since is not None:\n"
        "            self._reread(self._stale_since, self._stale_because)\n"
        "        else:\n"
        "            self._take_kept()\n",
        "        self._take_kept()\n",
        "what changes while a query is read again is read too",
        ("tests/unit/server/livequery",),
    ),
    Mutation(
        "in step: a shut gate is taken for open",
        _FOLLOWERS,
        "                if gate.is_open and bundle is not None:\n",
        "                if bundle is not None:\n",
        "shared packets overtake nothing",
    ),
    Mutation(
        "lost history is ignored",
        _LIVE_QUERIES,
        "            multiplexer.history_lost(position)",
        "            pass",
        "history may be lost, results may not",
    ),
    Mutation(
        "a gap in the file is not noticed",
        _SQLITE_FILE,
        "        if rows and rows[0][0] != position + 1:\n            return None\n",
        "",
        "a process that fell behind knows it",
        ON_SQLITE,
    ),
    Mutation(
        "feed out of order",
        _MEMORY,
        "ChangeBatch(self._database.position, changes)",
        "ChangeBatch(self._database.position, changes[::-1])",
        "changes come in the order of their commits",
    ),
    Mutation(
        "the fence does not wait for the feed",
        _LIVE_QUERIES,
        "            await self._store.feed_reached(position)\n",
        "",
        "updated implies its data",
        (_LIVE,),
    ),
    Mutation(
        "the fence does not wait for windows",
        _LIVE_QUERIES,
        "            await asyncio.gather(*(multiplexer.settled(position) for"
        " multiplexer in touched))\n",
        "            del touched\n",
        "updated implies its data, in windows too",
        (_LIVE,),
    ),
    Mutation(
        "the fence forgets transactions",
        _GATEWAY,
        "            invocation.wrote(transaction.receipt)",
        "            pass",
        "updated implies the data of a transaction",
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
        '                self._socket.sendto(b"", f"{self._reach}/{name}")',
        "                pass",
        "a commit wakes the other processes",
        ("tests/integration/sqlite/test_processes.py::test_processes_wake_each_other",),
    ),
    Mutation(
        "mongodb: a transaction is told as it comes",
        _MONGO_ASSEMBLY,
        '        if events and "txnNumber" in events[-1]:\n',
        "        if False:\n",
        "nobody holds a part of a transaction",
        ("tests/integration/mongodb/test_transactions.py",),
    ),
    Mutation(
        "mongodb: a method does not wait for the feed",
        _LIVE_QUERIES,
        "            await self._store.feed_reached(position)\n            touched",
        "            touched",
        "updated of a method never comes before its data",
        ("tests/integration/mongodb/test_fence.py",),
    ),
    Mutation(
        "mongodb: an update is passed over unseen",
        _MONGO_CACHE,
        "            reading.outdated.add(key)\n",
        "            pass\n",
        "what was left out is not missing from a document that is kept",
        ("tests/unit/server/stores/mongo",),
    ),
    Mutation(
        "router: only conditions make an update worth reading",
        _ROUTER,
        "        return any(self._interests[item].is_in(changed) for item in holders)\n",
        "        return False\n",
        "an update of a document in a result is never left out",
    ),
    Mutation(
        "polls: a hint during a reading is taken for answered",
        _MULTIPLEXER,
        "        self._answered = asks\n",
        "        self._answered = self._asks\n",
        "a hint is answered by a reading that began after it",
        (_POLLED,),
    ),
    Mutation(
        "polls: a change of a joined collection is no reason",
        _MULTIPLEXER,
        "        if collection != self.query.collection:\n            self._outdate",
        "        if False:\n            self._outdate",
        "rows follow the collections that they join",
        (_POLLED,),
    ),
    Mutation(
        "polls: a fence trusts a feed that does not tell",
        _MULTIPLEXER,
        "            self._is_told = all(one.is_told for one in (own, *others))\n",
        "            self._is_told = True\n",
        "updated waits for a poll of what the feed does not tell",
        (_POLLED,),
    ),
    Mutation(
        "polls: a client brings code for the database",
        "server/bolide/server/arguments.py",
        "    try:\n        Matcher(selector)\n",
        "    try:\n        pass\n",
        "a selector of a client is one that minimongo evaluates",
        ("tests/unit/server/test_arguments.py",),
    ),
    *SESSION_MUTATIONS,
)

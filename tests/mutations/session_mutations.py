"""The mutations of sessions: merge box, outbox, in-step set, resync, calls, access."""

from tests.mutations.mutation import ON_MEMORY, Mutation

__all__ = ["SESSION_MUTATIONS"]

_MERGE_BOX = "server/bolide/server/sessions/view/mergebox.py"
_VIEW_CHANGE = "server/bolide/server/sessions/view/view_change.py"
_CLIENT_VIEW = "server/bolide/server/sessions/view/client_view.py"
_OUTBOX = "server/bolide/server/sessions/view/outbox.py"
_SUBSCRIPTION_RUNS = "server/bolide/server/sessions/runs/subscription_runs.py"
_SHARED_VIEW = "server/bolide/server/livequery/shared_view.py"
_DIGESTS = "core/bolide/core/ddp/digests.py"
_CLAIM = "server/bolide/server/access/claim.py"
_CALLS = "server/bolide/server/methods/calls.py"

_SESSIONS = ("tests/unit/server/sessions/test_live_sessions.py",)
_VIEWS = ("tests/unit/server/sessions/view", "tests/unit/server/livequery")
_OUTBOXES = ("tests/unit/server/sessions/view/test_outbox.py",)
_ONCE = ("tests/unit/server/methods/test_calls.py",)

SESSION_MUTATIONS = (
    Mutation(
        "a field that is gone stays",
        _VIEW_CHANGE,
        "    changes.update({name: UNDEFINED for name in old if name not in new})\n",
        "",
        "a field that was removed leaves the view",
        (*_VIEWS, *ON_MEMORY),
    ),
    Mutation(
        "merge box: the last subscription wins",
        _MERGE_BOX,
        "        claims.append(_Claim(owner, value))",
        "        claims.insert(0, _Claim(owner, value))",
        "the first subscription that claims a field has it",
        ("tests/unit/server/sessions/view/test_mergebox.py",),
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
        _VIEWS,
    ),
    Mutation(
        "a field of another subscription does not come back",
        _MERGE_BOX,
        "            if not equals(claims[0].value, left[0].value):\n"
        "                visible[name] = left[0].value\n",
        "",
        "when the first claim ends the next one shows",
        ("tests/unit/server/sessions/view/test_mergebox.py",),
    ),
    Mutation(
        "merge box: shares no longer without catching up",
        _CLIENT_VIEW,
        "        sole.view.catch_up()\n        sole.view.step_out(sole)\n",
        "        sole.view.step_out(sole)\n",
        "a second owner joins what the client was told",
        _SESSIONS,
    ),
    Mutation(
        "in step: nobody steps out",
        _CLIENT_VIEW,
        "        sole.view.catch_up()\n        sole.view.step_out(sole)\n",
        "        sole.view.catch_up()\n",
        "who is not alone in a collection gets no shared packets",
    ),
    Mutation(
        "in step: the gate is open while something waits",
        _CLIENT_VIEW,
        "        collection = message.collection\n        self.gate.is_open = False\n",
        "        collection = message.collection\n",
        "shared packets overtake no document",
        ("tests/unit/server/sessions/view/test_client_view.py",),
    ),
    Mutation(
        "in step: the gate is open while the socket is full",
        _CLIENT_VIEW,
        "            or self._is_full\n            or self._urgent\n",
        "            or self._urgent\n",
        "a socket that is full takes nothing",
        _SESSIONS,
    ),
    Mutation(
        "outbox: a message is no barrier",
        _OUTBOX,
        "if not self.generations or self.generations[-1].messages:",
        "if not self.generations:",
        "a collection that changes all the time holds up no message",
        _OUTBOXES,
    ),
    Mutation(
        "outbox: messages overtake documents",
        _OUTBOX,
        "        generation = self.generations[-1] if self.generations else self._open()\n",
        "        generation = self.generations[0] if self.generations else self._open()\n",
        "updated implies its data, for slow readers too",
        _OUTBOXES,
    ),
    Mutation(
        "outbox: what waits for a slow reader keeps its changes",
        _CLIENT_VIEW,
        "        self._is_full = True\n        self._outbox.settle()\n",
        "        self._is_full = True\n",
        "a slow reader costs names, not changes",
        ("tests/unit/server/sessions",),
    ),
    Mutation(
        "outbox: a document that came back keeps old fields",
        _OUTBOX,
        "            for name in before:\n                names.setdefault(name, True)\n",
        "            pass\n",
        "a document that was removed and added again has its new fields only",
        _OUTBOXES,
    ),
    Mutation(
        "outbox: is not closed by another user",
        _CLIENT_VIEW,
        "        if self._before is not None:\n            return True\n",
        "",
        "a user change is one difference",
        ("tests/unit/server/sessions",),
    ),
    Mutation(
        "a user change keeps what only the old user may see",
        _MERGE_BOX,
        "                if key not in new:\n                    yield Removed(name, id), fields\n",
        "                if False:\n                    yield Removed(name, id), fields\n",
        "after a user change only the new user's documents are left",
        _VIEWS,
    ),
    Mutation(
        "access: a loss is not noticed",
        _SUBSCRIPTION_RUNS,
        "            if difference:\n",
        "            if difference.gained:\n",
        "what a person may not see any more is taken back",
        ("tests/unit/server/sessions/test_access_changed.py",),
    ),
    Mutation(
        "resync: compares what was not told yet",
        _CLIENT_VIEW,
        "        self._catch_up()\n        wanted =",
        "        wanted =",
        "a resync compares with what the followers were told",
        _SESSIONS,
    ),
    Mutation(
        "resync: ends without what was not told yet",
        _CLIENT_VIEW,
        "        self._catch_up()\n        compared,",
        "        compared,",
        "a resync ends with what the followers were told",
        _SESSIONS,
    ),
    Mutation(
        "resync: a digest leaves out a field",
        _DIGESTS,
        "    return _digest(canonical(dict(fields)))\n",
        "    return _digest(canonical(dict(list(fields.items())[1:])))\n",
        "a document that differs is sent",
        ("tests/unit/core/ddp/test_digests.py",),
    ),
    Mutation(
        "resync: the digest of a view is of another time",
        _SHARED_VIEW,
        "            self._digest = None\n",
        "",
        "a view that differs is sent",
        _SESSIONS,
    ),
    Mutation(
        "resync: a replacement is a plain added",
        _OUTBOX,
        "replace=dirty.is_replaced",
        "replace=False",
        "added comes only for what the client does not hold",
    ),
    Mutation(
        "resync: strays stay",
        _CLIENT_VIEW,
        "        for wire_id in have.keys() - documents.keys():\n",
        "        for wire_id in ():\n",
        "what is in no view is taken away",
    ),
    Mutation(
        "resync: what comes back at the end is changed",
        _OUTBOX,
        "    if not dirty.is_known or dirty.is_replaced:\n",
        "    if not dirty.is_known or (dirty.is_replaced and not dirty.names):\n",
        "what a client held in a version that nobody knows is replaced",
        (*_OUTBOXES, *_SESSIONS),
    ),
    Mutation(
        "call: nobody claims",
        _CLAIM,
        "receipt = await store.write(operation, first=self._insert())",
        "receipt = await store.write(operation)",
        "a call that is made again runs once",
    ),
    Mutation(
        "call: nobody claims in a transaction",
        _CLAIM,
        "                await transaction.write(self._insert())\n",
        "                pass\n",
        "a call that is made again runs once, in a transaction too",
        ("tests/unit/server/access/test_claim.py", *_ONCE),
    ),
    Mutation(
        "call: a claim that another has is ours",
        _CLAIM,
        'self.is_taken = bool(found) and found[0]["run"] == self._run',
        "self.is_taken = bool(found)",
        "of two nodes that run one call, one cannot write",
        ("tests/unit/server/access/test_claim.py", *_ONCE),
    ),
    Mutation(
        "call: the outcome is not stored",
        _CALLS,
        "            await self._store_outcome(key, outcome)\n",
        "            pass\n",
        "a call that is made again is told what it was told",
        _ONCE,
    ),
    Mutation(
        "call: arguments may differ",
        _CALLS,
        "    if known.digest != given.digest:\n",
        "    if False:\n",
        "another call does not get this one's outcome",
        _ONCE,
    ),
    Mutation(
        "call: anybody may repeat it",
        _CALLS,
        "    if known.user_id != given.user_id:\n",
        "    if False:\n",
        "another user does not get this one's outcome",
        _ONCE,
    ),
)

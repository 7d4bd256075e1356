"""The calls of a node that run at most once, however often they are sent and to whichever node.

A call is looked up before it runs. Its first write claims it (:mod:`bolide.server.access.claim`),
and its outcome is stored under the claim before it is told. A repeat gets that outcome. While the
first run goes on in this node, a repeat waits for it; if it goes on elsewhere, for a while only:
its node may be gone, and then nobody will ever know more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog
from pymongo.errors import PyMongoError

from bolide.core.ddp.messages import CallId, WireError
from bolide.core.ejson import canonical, parse, stringify
from bolide.core.errors import Details, EJSONError, MethodError
from bolide.core.values import UNDEFINED, Document
from bolide.server.access.claim import CallTaken, Claim
from bolide.server.access.fence import Fence
from bolide.server.clock import Clock
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.methods.errors import log_failure, wire_error
from bolide.server.methods.reckoning import Reckoning
from bolide.server.methods.result_size import ResultTooLarge
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.settings import Settings
from bolide.server.stores.base import Delete, Position, Query, Store, Update, WriteOutcomeUnknown
from bolide.server.stores.own_collections import CALLS

__all__ = ["SMALL_ANSWER_BYTES", "CallContent", "Calls", "call_content"]

_UNKNOWN = MethodError(
    "write-outcome-unknown",
    "The call was begun, and nobody knows whether it came to its end: look whether it was done"
    " before you do it again.",
)
_CONFLICT = MethodError(
    "call-id-conflict", "The id of this call was used for another call: use a new one."
)
_ANOTHER_USER = MethodError(
    "call-of-another-user",
    "This call was made for another user, or before anybody had logged in, and may have been done:"
    " log in as who made it and send it again to learn its outcome, or look whether it was done"
    " before you do it again.",
)
_NOT_KEPT = MethodError(
    "call-result-not-kept", "The call came to its end; what it was answered was not kept."
)


SMALL_ANSWER_BYTES: Final = 1_024
"""Size up to which an answer is kept as long as its call, bytes of EJSON."""

_LEAST_BETWEEN: Final = 100
"""A node makes at least so many calls from one clean-up to the next because of too many."""


class CallContent(msgspec.Struct, frozen=True):
    """What tells a repeat of a call from another call with the same id.

    Attributes:
        user_id: Who is logged in, None for nobody.
        digest: Of the method and its arguments.
    """

    user_id: str | None
    digest: str


def call_content(user_id: str | None, method: str, params: Sequence[Any]) -> CallContent:
    """Return what a repeat of a call has in common with it."""
    digest = sha256(canonical([method, list(params)]).encode()).hexdigest()
    return CallContent(user_id, digest)


@dataclass(slots=True)
class _Outcome:
    """How a call ended.

    Attributes:
        value: What it returned, UNDEFINED for nothing.
        error: What the client was told instead.
        fence: Collection -> position of the call's last write to it.
    """

    value: Any = UNDEFINED
    error: WireError | None = None
    fence: Fence = field(default_factory=Fence)


@dataclass(slots=True)
class _Running:
    """A call that runs in this node; None as outcome: it wrote nothing."""

    content: CallContent
    outcome: asyncio.Future[_Outcome | None]


class Calls:
    """The calls of one node.

    Args:
        store: Where claims and outcomes are kept.
        live_queries: Tell when a call ended elsewhere.
        clock: The time.
        settings: How long things are waited for and kept, and how many.
    """

    def __init__(
        self, store: Store, live_queries: LiveQueries, clock: Clock, settings: Settings
    ) -> None:
        """Begin without a call."""
        self._store = store
        self._live_queries = live_queries
        self._clock = clock
        self._settings = settings
        self._running: dict[str, _Running] = {}
        self._reckoning: Reckoning | None = None
        self._is_forgetting = False
        # Since the last clean-up, and by this node alone.
        self._new_calls = 0
        self._new_bytes = 0
        self._log = structlog.get_logger("bolide.calls")

    async def once(
        self,
        call: CallId,
        content: CallContent,
        fence: Fence,
        run: Callable[[Claim], Awaitable[Any]],
    ) -> Any:
        """Run a call unless it wrote before; return its result, or what it returned then.

        Args:
            call: Its id.
            content: What is called by whom.
            fence: The invocation's; for a repeat it is filled with what the first run wrote.
            run: Runs the handler with a claim.

        Raises:
            MethodError: ``write-outcome-unknown``, ``call-id-conflict``,
                ``call-of-another-user``, ``call-result-not-kept``, or what the first run was
                answered.
            Exception: What the handler raises.
        """
        key = _key(call)
        deadline = self._clock.now() + self._settings.call_wait_s
        reckoning = await self._reckon()
        while True:
            running = self._running.get(key)
            if running is not None:
                _check(running.content, content)
                outcome = await asyncio.shield(running.outcome)
                if outcome is not None:
                    return _repeated(outcome, fence)
                continue
            entry, position = await self._find(key)
            if entry is None:
                # Somebody else may have begun while we looked.
                if key in self._running:
                    continue
                reckoning.now_ms()  # what it is claimed at shall not be later
                try:
                    return await self._run(key, content, fence, run)
                except CallTaken:
                    continue
            _check(CallContent(entry["user"], entry["digest"]), content)
            if "doneAt" in entry:
                return _repeated(_read_outcome(entry, position), fence)
            if self._clock.now() >= deadline:
                raise _UNKNOWN
            await self._wait_for_end(key, deadline)

    async def forget_old(self) -> None:
        """Forget the calls that are too old to be repeated, and the oldest of too many.

        Of the oldest of too large answers only the answer is forgotten, so that no call can be
        made to run twice by calls with large ones.
        """
        settings = self._settings
        self._new_calls = self._new_bytes = 0
        reckoning = await self._reckon()
        oldest = reckoning.now_ms() - round(settings.call_memory_s * 1000)
        too_many = Query(
            collection=CALLS,
            sort=(("claimedAt", -1),),
            skip=settings.limits.max_stored_calls,
            limit=1,
        )
        for document in (await self._store.read(too_many)).documents:
            oldest = max(oldest, _wall_ms(document))
        selector = {"claimedAt": {"$lte": _date(oldest)}}
        await self._store.write(Delete(collection=CALLS, selector=selector, many=True))
        await self._forget_answers()

    async def _forget_answers(self) -> None:
        """Forget the oldest answers beyond what all may take together."""
        large = Query(
            collection=CALLS,
            selector={"size": {"$gt": SMALL_ANSWER_BYTES}},
            sort=(("claimedAt", -1),),
            projection={"size": 1, "claimedAt": 1},
        )
        left = self._settings.limits.max_stored_results_bytes
        for document in (await self._store.read(large)).documents:
            left -= document["size"]
            if left < 0:
                too_old = {
                    "size": {"$gt": SMALL_ANSWER_BYTES},
                    "claimedAt": {"$lte": document["claimedAt"]},
                }
                forget = {
                    "$unset": {"result": 1, "error": 1, "size": 1},
                    "$set": {"tooLarge": ""},
                }
                await self._store.write(
                    Update(collection=CALLS, selector=too_old, modifier=forget, many=True)
                )
                return

    async def _keep_bounds(self, size: int) -> None:
        """Count an outcome; clean up before the hour is over if this node stored many."""
        self._new_calls += 1
        self._new_bytes += size if size > SMALL_ANSWER_BYTES else 0
        limits = self._settings.limits
        if self._is_forgetting or (
            self._new_calls < max(_LEAST_BETWEEN, limits.max_stored_calls // 8)
            and self._new_bytes < limits.max_stored_results_bytes // 8
        ):
            return
        self._is_forgetting = True
        try:
            await self.forget_old()
        except Exception as error:  # the call is done all the same, and the next one tries again
            log_failure(self._log, error, task="forget old calls")
        finally:
            self._is_forgetting = False

    async def _run(
        self,
        key: str,
        content: CallContent,
        fence: Fence,
        run: Callable[[Claim], Awaitable[Any]],
    ) -> Any:
        claimed_at = _date(self._clock.wall_ms())
        claim = Claim(
            {
                "_id": key,
                "user": content.user_id,
                "digest": content.digest,
                "claimedAt": claimed_at,
            }
        )
        future = asyncio.get_running_loop().create_future()
        running = self._running[key] = _Running(content, future)
        outcome = _Outcome(fence=fence)
        is_known = False
        try:
            try:
                outcome.value = await run(claim)
            except WriteOutcomeUnknown:
                raise  # what a repeat is told is found out then
            except Exception as error:
                outcome.error = wire_error(error)
                is_known = await self._end(key, claim, outcome)
                raise
            is_known = await self._end(key, claim, outcome)
            return _repeated(outcome, fence)
        finally:
            # A run that was cancelled has no outcome: nobody knows how far it came.
            del self._running[key]
            running.outcome.set_result(outcome if is_known else None)

    async def _reckon(self) -> Reckoning:
        """Return the time by which is forgotten."""
        if self._reckoning is None:
            newest = Query(collection=CALLS, sort=(("claimedAt", -1),), limit=1)
            found = [_wall_ms(one) for one in (await self._store.read(newest)).documents]
            # Somebody else may have begun it while we looked.
            if self._reckoning is None:
                self._reckoning = Reckoning(self._clock, found[0] if found else None)
        return self._reckoning

    async def _end(self, key: str, claim: Claim, outcome: _Outcome) -> bool:
        """Store the outcome of a run that wrote; tells whether it did.

        Raises:
            MethodError: ``write-outcome-unknown``, if the store does not take it.
        """
        try:
            # A handler may have caught what told it that it must not write, or may have written.
            await outcome.fence.known()
            await claim.find_out(self._store)
            if claim.is_taken:
                await self._store_outcome(key, outcome)
        except (PyMongoError, WriteOutcomeUnknown) as error:
            log_failure(self._log, error, task="store the outcome of a call")
            raise _UNKNOWN from error
        return claim.is_taken

    async def _find(self, key: str) -> tuple[Document | None, Position]:
        snapshot = await self._store.read(Query(collection=CALLS, selector={"_id": key}))
        return (snapshot.documents[0] if snapshot.documents else None), snapshot.position

    async def _store_outcome(self, key: str, outcome: _Outcome) -> None:
        done: Document = {
            "doneAt": _date(self._clock.wall_ms()),
            "collections": list(outcome.fence),
        }
        if outcome.error is not None:
            name, text = "error", _error_text(outcome.error)
        elif outcome.value is not UNDEFINED:
            name, text = "result", _text(outcome.value)
        else:
            name, text = "nothing", ""
        size = _size(text)
        limits = self._settings.limits
        if size > limits.max_result_bytes:
            # It is not sent either, and a repeat is to be told the same.
            outcome.error = wire_error(ResultTooLarge(size, limits.max_result_bytes))
            name, text = "error", _error_text(outcome.error)
            size = _size(text)
        if size > limits.max_stored_result_bytes:
            name, text, size = "tooLarge", "", 0
        if size > SMALL_ANSWER_BYTES:
            done["size"] = size
        await self._store.write(
            Update(collection=CALLS, selector={"_id": key}, modifier={"$set": {**done, name: text}})
        )
        await self._keep_bounds(size)

    async def _wait_for_end(self, key: str, deadline: float) -> None:
        """Wait until a call that runs elsewhere ended, or the deadline passed."""
        watcher = _Watcher()
        timer = self._clock.call_at(deadline, watcher.something_changed.set)
        query = Query(collection=CALLS, selector={"_id": key, "doneAt": {"$exists": True}})
        following = await self._live_queries.follow(query, watcher)
        try:
            await watcher.something_changed.wait()
        finally:
            timer.cancel()
            following.stop()


class _Watcher:
    """A follower that only wants to know that something happened."""

    def __init__(self) -> None:
        self.something_changed = asyncio.Event()

    def view_joined(self, view: FollowedView) -> None:
        if len(view):
            self.something_changed.set()

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        self.something_changed.set()

    def view_failed(self, error: Exception) -> None:
        self.something_changed.set()


def _key(call: CallId) -> str:
    # The client's part is a secret of the client: who reads the database must not learn it.
    return sha256(f"{len(call.client)} {call.client} {call.call}".encode()).hexdigest()


def _check(known: CallContent, given: CallContent) -> None:
    if known.digest != given.digest:
        raise _CONFLICT
    if known.user_id != given.user_id:
        raise _ANOTHER_USER


def _repeated(outcome: _Outcome, fence: Fence) -> Any:
    for collection, position in tuple(outcome.fence.items()):
        fence.reached(collection, position)
    if outcome.error is not None:
        error = outcome.error
        code = error.error if isinstance(error.error, str) else int(error.error)
        raise MethodError(code, error.reason, error.details)
    return outcome.value


def _read_outcome(entry: Document, position: Position) -> _Outcome:
    """Read what :meth:`Calls._store_outcome` wrote.

    Args:
        entry: The document.
        position: Where it was read; not before the call's last write.
    """
    fence = Fence()
    for collection in entry["collections"]:
        fence.reached(collection, position)
    if "tooLarge" in entry:
        return _Outcome(error=wire_error(_NOT_KEPT), fence=fence)
    if "error" in entry:
        error: Any = parse(entry["error"])
        details: Details = error["d"]
        return _Outcome(error=WireError(error["e"], error["r"], details), fence=fence)
    return _Outcome(parse(entry["result"]) if "result" in entry else UNDEFINED, fence=fence)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _error_text(error: WireError) -> str:
    # Details are plain JSON, which is EJSON as well.
    told: dict[str, Any] = {"e": error.error, "r": error.reason, "d": error.details}
    return stringify(told)


def _text(value: Any) -> str:
    try:
        return stringify(value)
    except EJSONError:
        return stringify(None)  # it cannot be sent either


def _wall_ms(entry: Document) -> int:
    """Return when a call was claimed."""
    claimed_at: datetime = entry["claimedAt"]
    return round(claimed_at.timestamp() * 1000)


def _date(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)

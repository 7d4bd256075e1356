"""Contexts: decisions, and what each kind of handler may do."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import AuthError, LocalProtocolError
from bolide.core.values import UNDEFINED, Fields
from bolide.server.access.authorize import AccessRequest, deny
from bolide.server.access.invocation import Invocation, SessionInfo, UndecidedAccess
from bolide.server.context import Context, WrongHandler


class RecordingHost:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def unblock(self) -> None:
        self.calls.append("unblock")

    def added(self, collection: str, id: Any, fields: Fields) -> None:
        self.calls.append(("added", collection, id, fields))

    def changed(self, collection: str, id: Any, fields: Fields) -> None:
        self.calls.append(("changed", collection, id, fields))

    def removed(self, collection: str, id: Any) -> None:
        self.calls.append(("removed", collection, id))

    def ready(self) -> None:
        self.calls.append("ready")

    def stop(self) -> None:
        self.calls.append("stop")

    def error(self, error: BaseException) -> None:
        self.calls.append(("error", error))

    def on_stop(self, callback: Callable[[], object]) -> None:
        self.calls.append(("on_stop", callback))

    async def set_user_id(self, user_id: str | None) -> None:
        self.calls.append(("set_user_id", user_id))

    async def call(self, name: str, args: tuple[Any, ...]) -> Any:
        self.calls.append(("call", name, args))
        return 42


def make_publication(*, public: bool = True) -> tuple[Context, RecordingHost, Invocation]:
    invocation = Invocation("publication", "beds", is_decided=public)
    host = RecordingHost()
    return Context(invocation, host, deny), host, invocation


def make_method(
    *, user_id: str | None = None, random: SeededStreams | None = None
) -> tuple[Context, RecordingHost, Invocation]:
    invocation = Invocation("method", "move", user_id=user_id, random=random)
    host = RecordingHost()
    return Context(invocation, host, deny), host, invocation


def test_a_publication_publishes_through_its_host() -> None:
    ctx, host, _ = make_publication()
    error = ValueError()
    ctx.added("beds", "1", {"a": 1})
    ctx.changed("beds", "1", {"a": 2})
    ctx.removed("beds", "1")
    ctx.ready()
    ctx.on_stop(host.stop)
    ctx.error(error)
    ctx.stop()
    ctx.unblock()
    assert host.calls == [
        ("added", "beds", "1", {"a": 1}),
        ("changed", "beds", "1", {"a": 2}),
        ("removed", "beds", "1"),
        "ready",
        ("on_stop", host.stop),
        ("error", error),
        "stop",
        "unblock",
    ]


USES: list[tuple[str, Callable[[Context], None]]] = [
    ("added", lambda ctx: ctx.added("beds", "1", {})),
    ("changed", lambda ctx: ctx.changed("beds", "1", {})),
    ("ready", lambda ctx: ctx.ready()),
    ("removed", lambda ctx: ctx.removed("beds", "1")),
    ("stop", lambda ctx: ctx.stop()),
    ("error", lambda ctx: ctx.error(ValueError())),
    ("on_stop", lambda ctx: ctx.on_stop(print)),
]


def test_what_is_published_is_normalized_and_not_the_handlers_own() -> None:
    ctx, host, _ = make_publication()
    tags = ["a"]
    ctx.added("beds", "1", {"_id": "other", "tags": tags, "pair": (1, 2), "none": UNDEFINED})
    ctx.changed("beds", "1", {"_id": "other", "tags": tags, "pair": UNDEFINED})
    tags.append("b")
    assert host.calls == [
        ("added", "beds", "1", {"tags": ["a"], "pair": [1, 2]}),
        ("changed", "beds", "1", {"tags": ["a"], "pair": UNDEFINED}),
    ]


def test_what_no_document_can_hold_is_not_published() -> None:
    ctx, host, _ = make_publication()
    with pytest.raises(TypeError, match="name"):
        ctx.added("beds", "1", {"name": {"Aunt Emmy"}})
    with pytest.raises(TypeError, match="set"):
        ctx.changed("beds", "1", {"name": {"Aunt Emmy"}})
    assert host.calls == []


@pytest.mark.parametrize("publish", [use for _, use in USES[:3]])
def test_publishing_without_a_decision_fails(publish: Callable[[Context], None]) -> None:
    ctx, host, _ = make_publication(public=False)
    with pytest.raises(UndecidedAccess):
        publish(ctx)
    assert host.calls == []


@pytest.mark.parametrize(("member", "use"), USES)
def test_a_method_cannot_publish(member: str, use: Callable[[Context], None]) -> None:
    ctx, host, _ = make_method()
    with pytest.raises(WrongHandler) as caught:
        use(ctx)
    assert str(caught.value) == (
        f"The method move used ctx.{member}, which only publications have."
    )
    assert isinstance(caught.value, LocalProtocolError)
    assert host.calls == []


async def test_a_publication_has_nothing_that_only_methods_have() -> None:
    ctx, host, _ = make_publication()
    with pytest.raises(WrongHandler, match=r"ctx\.random"):
        _ = ctx.random
    with pytest.raises(WrongHandler, match=r"ctx\.call"):
        await ctx.call("move")
    with pytest.raises(WrongHandler, match=r"ctx\.set_user_id"):
        await ctx.set_user_id("nurse")
    assert host.calls == []


async def test_a_method_calls_another_one() -> None:
    ctx, host, _ = make_method()
    assert await ctx.call("other", 1, "a") == 42
    assert host.calls == [("call", "other", (1, "a"))]


async def test_after_a_change_of_user_the_method_runs_for_the_new_one() -> None:
    ctx, host, invocation = make_method()
    await ctx.set_user_id("nurse")
    assert host.calls == [("set_user_id", "nurse")]
    assert ctx.user_id == "nurse"
    assert invocation.user_id == "nurse"


def test_random_draws_from_the_invocations_default_stream() -> None:
    ctx, _, _ = make_method(random=SeededStreams("seed"))
    expected = SeededStreams("seed")
    assert ctx.random.id() == expected.stream("default").id()
    assert ctx.random.hex(8) == expected.stream("default").hex(8)
    assert ctx.random.fraction() == expected.stream("default").fraction()
    assert ctx.random.stream("x").id() == expected.stream("x").id()


def test_without_a_seed_random_is_fresh_and_goes_on() -> None:
    first, second = make_method()[0], make_method()[0]
    ids = {first.random.id(), first.random.id(), second.random.id()}
    assert len(ids) == 3


def test_require_login_decides_for_who_is_logged_in() -> None:
    ctx, _, invocation = make_method(user_id="nurse")
    assert ctx.require_login() == "nurse"
    assert invocation.is_decided


def test_require_login_refuses_nobody() -> None:
    ctx, _, invocation = make_method()
    with pytest.raises(AuthError):
        ctx.require_login()
    assert not invocation.is_decided


def test_require_is_denied_by_default() -> None:
    ctx, _, invocation = make_method(user_id="nurse")
    with pytest.raises(AuthError):
        ctx.require("ward:write", "ward/7")
    assert not invocation.is_decided


def test_require_asks_who_what_and_where() -> None:
    asked: list[AccessRequest] = []

    def authorize(request: AccessRequest, /) -> bool:
        asked.append(request)
        return True

    invocation = Invocation("method", "move", user_id="nurse")
    Context(invocation, RecordingHost(), authorize).require("ward:write", "ward/7")
    assert asked == [AccessRequest("nurse", "ward:write", "ward/7")]
    assert invocation.is_decided


@pytest.mark.parametrize("answer", [1, "yes", object(), None, False])
def test_only_true_itself_allows(answer: Any) -> None:
    invocation = Invocation("method", "move")
    with pytest.raises(AuthError):
        Context(invocation, RecordingHost(), lambda _: answer).require("ward:write")
    assert not invocation.is_decided


def test_the_log_knows_session_and_handler_and_nothing_else() -> None:
    invocation = Invocation("method", "move", user_id="nurse", session=SessionInfo("s1"))
    ctx = Context(invocation, RecordingHost(), deny)
    with structlog.testing.capture_logs() as records:
        ctx.log.info("moved")
    assert records == [
        {"event": "moved", "log_level": "info", "session": "s1", "handler": "method move"}
    ]
    assert ctx.session is invocation.session


def test_a_server_side_call_has_no_session() -> None:
    ctx, _, _ = make_method()
    assert ctx.session is None
    with structlog.testing.capture_logs() as records:
        ctx.log.info("moved")
    assert records[0]["session"] is None

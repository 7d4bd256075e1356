"""Contexts: decisions, and what each kind of handler may do."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import AuthError, LocalProtocolError
from bolide.core.values import UNDEFINED, Fields
from bolide.server.access.authorize import AccessRequest, deny
from bolide.server.access.decisions import Decisions, Difference, LoginRequest, Question
from bolide.server.access.invocation import (
    Invocation,
    PublishedOutside,
    SessionInfo,
    UndecidedAccess,
    UnopenedAccess,
)
from bolide.server.context import Context, WrongHandler


class RecordingHost:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def upholds(self, invocation: Invocation) -> bool:
        return invocation.user_id == "ann"

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


def no_access(collection: str) -> str | None:
    """Say that no collection has access scopes."""
    return None


def make_publication(*, public: bool = True) -> tuple[Context, RecordingHost, Invocation]:
    invocation = Invocation("publication", "beds", is_decided=public)
    host = RecordingHost()
    return Context(invocation, host, deny, no_access), host, invocation


def make_method(
    *, user_id: str | None = None, random: SeededStreams | None = None
) -> tuple[Context, RecordingHost, Invocation]:
    invocation = Invocation("method", "move", user_id=user_id, random=random)
    host = RecordingHost()
    return Context(invocation, host, deny, no_access), host, invocation


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
    Context(invocation, RecordingHost(), authorize, no_access).require("ward:write", "ward/7")
    assert asked == [AccessRequest("nurse", "ward:write", "ward/7")]
    assert invocation.is_decided


@pytest.mark.parametrize("answer", [1, "yes", object(), None, False])
def test_only_true_itself_allows(answer: Any) -> None:
    invocation = Invocation("method", "move")
    with pytest.raises(AuthError):
        Context(invocation, RecordingHost(), lambda _: answer, no_access).require("ward:write")
    assert not invocation.is_decided


def test_the_log_knows_session_and_handler_and_nothing_else() -> None:
    invocation = Invocation("method", "move", user_id="nurse", session=SessionInfo("s1"))
    ctx = Context(invocation, RecordingHost(), deny, no_access)
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


def allow(request: AccessRequest, /) -> bool:
    return True


def differences(decisions: Decisions) -> tuple[Difference, Difference]:
    """What differs if everything is allowed now, and if nothing is."""
    return decisions.difference(lambda _: True), decisions.difference(lambda _: False)


def test_require_with_a_scope_opens_it_and_nothing_else_does() -> None:
    invocation = Invocation("method", "move", user_id="nurse")
    ctx = Context(invocation, RecordingHost(), allow, no_access)
    ctx.require("ward:read")
    ctx.require_login()
    assert invocation.opened == set()
    ctx.require("ward:read", "ward/7")
    ctx.require("ward:write", "ward/8")
    assert invocation.opened == {"ward/7", "ward/8"}


def test_a_refusal_opens_nothing() -> None:
    ctx, _, invocation = make_method(user_id="nurse")
    with pytest.raises(AuthError):
        ctx.require("ward:read", "ward/7")
    assert invocation.opened == set()


def test_an_app_without_authorize_is_told_why_everybody_is_refused() -> None:
    def deny_myself(request: AccessRequest, /) -> bool:
        return False

    for authorize, told in ((deny, ["warning"]), (deny_myself, [])):
        ctx = Context(Invocation("method", "move"), RecordingHost(), authorize, no_access)
        with structlog.testing.capture_logs() as records:
            for refuse in (ctx.require_login, lambda ctx=ctx: ctx.require("ward:read")):
                with pytest.raises(AuthError):
                    refuse()
        assert [record["log_level"] for record in records] == told
        assert all("set app.authorize" in record["event"] for record in records)


def test_an_access_scope_is_a_string() -> None:
    invocation = Invocation("method", "move")
    number: Any = 7
    with pytest.raises(TypeError, match="not a int"):
        Context(invocation, RecordingHost(), allow, no_access).require("ward:read", number)
    assert not invocation.is_decided


def test_answers_are_remembered() -> None:
    invocation = Invocation("publication", "beds", user_id="nurse")
    Context(invocation, RecordingHost(), allow, no_access).require("ward:read", "ward/7")
    assert differences(invocation.decisions) == (Difference(), Difference(lost=True))
    denied = Invocation("publication", "beds")
    ctx = Context(denied, RecordingHost(), deny, no_access)
    with pytest.raises(AuthError):
        ctx.require("ward:read", "ward/7")
    with pytest.raises(AuthError):
        ctx.require_login()
    assert differences(denied.decisions) == (Difference(gained=True), Difference())
    asked = list[Question]()

    def answer(question: Question) -> bool:
        asked.append(question)
        return False

    denied.decisions.difference(answer)
    assert asked == [AccessRequest(None, "ward:read", "ward/7"), LoginRequest(None)]


def ward_of(collection: str) -> str | None:
    return "ward" if collection == "patients" else None


def publication_with_scopes() -> tuple[Context, RecordingHost, Invocation]:
    invocation = Invocation("publication", "board", is_decided=True)
    host = RecordingHost()
    return Context(invocation, host, allow, ward_of), host, invocation


def test_what_is_published_by_hand_needs_an_open_scope() -> None:
    ctx, host, _ = publication_with_scopes()
    with pytest.raises(UnopenedAccess, match="published a document of patients"):
        ctx.added("patients", "1", {"ward": "7"})
    with pytest.raises(UnopenedAccess, match="published a change of patients"):
        ctx.changed("patients", "1", {"bed": 1})
    ctx.added("beds", "1", {})
    assert len(host.calls) == 1


@pytest.mark.parametrize("fields", [{}, {"ward": "8"}, {"ward": ["7"]}, {"ward": None}])
def test_what_is_published_by_hand_says_its_open_scope(fields: Fields) -> None:
    ctx, host, _ = publication_with_scopes()
    ctx.require("ward:read", "7")
    with pytest.raises(PublishedOutside) as caught:
        ctx.added("patients", "1", fields)
    assert str(caught.value) == (
        "The publication board published a document of patients outside the access scopes that it"
        " opened: ward must be among its fields, with a scope that"
        " ctx.require(permission, access_scope) was called with."
    )
    assert host.calls == []


def test_a_change_by_hand_cannot_move_a_document_out() -> None:
    ctx, host, _ = publication_with_scopes()
    ctx.require("ward:read", "7")
    for ward in ("8", UNDEFINED):
        with pytest.raises(PublishedOutside):
            ctx.changed("patients", "1", {"ward": ward})
    ctx.added("patients", "1", {"ward": "7"})
    ctx.changed("patients", "1", {"bed": 2})
    ctx.changed("patients", "1", {"ward": "7"})
    ctx.removed("patients", "1")
    assert len(host.calls) == 4

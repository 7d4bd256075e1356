"""Resyncs: what is waited for, and what the client named."""

from bolide.core.ddp.messages import Have, Resync, Want
from bolide.server.limits import Limits
from bolide.server.sessions.resync import ResyncPhase, ResyncRun
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.client_view import ClientView
from bolide.server.sessions.view.strategy import PublicationStrategy

DIGEST = bytes(16)


def make_run(limits: Limits | None = None) -> ResyncRun:
    view = ClientView(lambda _: PublicationStrategy.SERVER_MERGE, Wire(PLAIN), lambda packets: None)
    return ResyncRun(view, limits or Limits(), 1.0)


def make_wanting_run(limits: Limits | None = None) -> ResyncRun:
    """Make one that waits for the documents of ``c``."""
    run = make_run(limits)
    assert run.receive(Resync((), {"c": DIGEST}), 50, 2.0)
    assert run.compare(3.0) == Want(("c",))
    return run


def test_what_is_settled_is_not_asked_about_again() -> None:
    asked: list[str] = []
    run = make_run()
    run.receive(Resync(tuple("abcd"), {}), 50, 2.0)

    def is_awaited(id: str) -> bool:
        asked.append(id)
        return id == "b"

    assert not run.is_settled(is_awaited)
    assert not run.is_settled(is_awaited)
    assert asked == ["d", "c", "b", "b"]
    assert run.is_settled(lambda id: False)
    assert run.is_settled(lambda id: True)


def test_each_phase_has_its_message_and_its_time() -> None:
    limits = Limits(resync_timeout_s=10)
    run = make_run(limits)
    assert not run.receive(Have({}, more=False), 20, 2.0)
    assert (run.deadline, run.is_settled(lambda id: False)) == (11.0, False)
    assert run.receive(Resync((), {"c": DIGEST}), 50, 2.0)
    assert not run.receive(Resync((), {}), 20, 2.0)
    assert run.deadline == 12.0
    assert run.compare(3.0) == Want(("c",))
    assert (run.deadline, run.is_settled(lambda id: False)) == (13.0, False)
    assert run.receive(Have({}, more=False), 20, 4.0)
    assert run.phase is ResyncPhase.DONE


def test_where_nothing_differs_nothing_is_asked_for() -> None:
    run = make_run()
    run.receive(Resync((), {}), 50, 2.0)
    assert run.compare(3.0) == Want(())
    assert run.phase is ResyncPhase.DONE


def test_documents_are_kept_of_wanted_collections_only() -> None:
    run = make_wanting_run()
    run.receive(Have({"c": {"a": DIGEST}, "other": {"b": DIGEST}}, more=True), 70, 4.0)
    run.receive(Have({"c": {"d": DIGEST}}, more=False), 30, 4.0)
    assert run.have == {"c": {"a": DIGEST, "d": DIGEST}}


def test_chunks_are_counted_whatever_they_hold() -> None:
    ids = make_wanting_run(Limits(max_resync_ids=2))
    ids.receive(Have({"c": {"a": DIGEST}, "other": {"b": DIGEST}}, more=True), 70, 4.0)
    assert ids.phase is ResyncPhase.WANTED
    ids.receive(Have({"other": {"b": DIGEST}}, more=True), 70, 4.0)
    size = make_wanting_run(Limits(max_resync_bytes=100))
    size.receive(Have({}, more=True), 100, 4.0)
    assert size.phase is ResyncPhase.WANTED
    size.receive(Have({}, more=True), 1, 4.0)
    for run in (ids, size):
        assert run.phase is ResyncPhase.BROKEN
        assert run.fault == "You hold more documents than a resync may name"


def test_a_client_that_does_not_go_on_broke_its_word() -> None:
    run = make_run()
    run.expire()
    assert run.phase is ResyncPhase.BROKEN

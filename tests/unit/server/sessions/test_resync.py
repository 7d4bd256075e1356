"""Resyncs: what is waited for, and what the client named."""

from bolide.core.ddp.messages import Have, Resync
from bolide.server.sessions.resync import ResyncRun


def test_what_is_settled_is_not_asked_about_again() -> None:
    asked: list[str] = []
    run = ResyncRun(1.0)
    run.begin(Resync(tuple("abcd"), {}), 2.0)

    def is_awaited(id: str) -> bool:
        asked.append(id)
        return id == "b"

    assert not run.is_settled(is_awaited)
    assert not run.is_settled(is_awaited)
    assert asked == ["d", "c", "b", "b"]
    assert run.is_settled(lambda id: False)
    assert run.is_settled(lambda id: True)


def test_chunks_are_counted_whatever_they_hold() -> None:
    run = ResyncRun(1.0)
    run.want(("c",), 2.0)
    run.receive_have(Have({"c": {"a": bytes(16)}, "other": {"b": bytes(16)}}, more=True), 70)
    run.receive_have(Have({}, more=True), 30)
    assert (run.id_count, run.received_bytes) == (2, 100)
    assert run.have == {"c": {"a": bytes(16)}}

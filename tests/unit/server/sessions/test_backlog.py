from bolide.core.ddp.messages import Nosub, Updated
from bolide.server.sessions.backlog import Backlog


def test_messages_are_held_in_order_and_counted() -> None:
    backlog = Backlog()
    backlog.hold(Updated(("m",)), b"one")
    backlog.hold(Nosub("1"), b"three")
    assert (backlog.packets, backlog.size) == ([b"one", b"three"], 8)


def test_who_ended_is_known() -> None:
    backlog = Backlog()
    backlog.hold(Updated(("1",)), b"one")
    assert backlog.ended == set()
    backlog.hold(Nosub("1"), b"three")
    assert backlog.ended == {"1"}

"""The client's view: messages that wait while its socket is full are counted, in their order."""

from bolide.core.ddp.messages import Removed
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.client_view import ClientView
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import ViewChange


def make_view() -> ClientView:
    return ClientView(lambda _: PublicationStrategy.SERVER_MERGE, Wire(PLAIN), lambda _: None)


def test_what_waits_for_a_full_socket_is_counted_short_or_long() -> None:
    view = make_view()
    view.become_full()
    packets = [b"a", b"b" * 5_000, b"c", *(b"%02d" % number for number in range(50))]
    for packet in packets:
        view.message(packet)
    view.urgent(b"ping")
    assert view.message_bytes == sum(map(len, packets)) + 4
    assert view.packets(65_536) == []
    view.drain()
    sent = view.packets(65_536)
    sent.remove(b"ping")
    assert sent == packets
    assert view.message_bytes == 0


def test_many_short_messages_keep_their_order_and_documents_theirs() -> None:
    view, owner = make_view(), object()
    early = [b"%03d" % number for number in range(100)]
    for packet in early:
        view.message(packet)
    view.apply(owner, [ViewChange.added("c", "1", {"a": 1})])
    view.message(b"late")
    added = view.packet(ViewChange.added("c", "1", {"a": 1}).message)
    assert view.packets(65_536) == [*early, added, b"late"]
    view.apply(owner, [ViewChange.removed("c", "1", {})])
    view.message(b"last")
    assert view.packets(65_536) == [view.packet(Removed("c", "1")), b"last"]


def test_the_gate_is_shut_from_the_first_document_that_waits_to_the_last() -> None:
    view = make_view()
    assert view.gate.is_open
    for id in "12":
        view.apply(view, [ViewChange.added("c", id, {"a": 1})])
        assert not view.gate.is_open
    view.packets(1)
    assert not view.gate.is_open
    view.packets(1)
    assert view.gate.is_open


def test_the_gate_is_shut_while_a_message_waits() -> None:
    view = make_view()
    for send in (view.message, view.urgent):
        send(b"packet")
        assert not view.gate.is_open
        view.packets(65_536)
        assert view.gate.is_open

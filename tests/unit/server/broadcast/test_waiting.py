"""What waits for other nodes is bounded."""

from bolide.server.broadcast.waiting import MESSAGE_LIFE_S, WaitingMessage, WaitingMessages


def message(payload: bytes, since: float = 0.0) -> WaitingMessage:
    return WaitingMessage("", payload, since)


def test_messages_are_taken_in_order_and_some_bytes_at_once() -> None:
    waiting = WaitingMessages(1_000)
    messages = [message(bytes([number]) * 36) for number in range(4)]
    assert all(waiting.add(one) for one in messages)
    assert len(waiting) == 4
    assert waiting.take(250) == messages[:2]
    assert waiting.take(1) == messages[2:3]
    assert waiting.take(1_000) == messages[3:]
    assert waiting.take(1_000) == []


def test_a_message_without_room_is_refused_but_a_single_one_never() -> None:
    waiting = WaitingMessages(100)
    assert waiting.add(message(bytes(500)))
    assert not waiting.add(message(b""))
    waiting.take(1)
    assert waiting.add(message(b""))


def test_what_waited_too_long_is_given_up() -> None:
    waiting = WaitingMessages(1_000)
    waiting.add(message(b"old", since=0))
    waiting.add(message(b"new", since=1))
    assert waiting.expire(MESSAGE_LIFE_S - 0.1) == 0
    assert waiting.expire(MESSAGE_LIFE_S) == 1
    assert [one.payload for one in waiting.take(1_000)] == [b"new"]

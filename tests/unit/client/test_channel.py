"""A channel in the client: each message once, and what was missed."""

import asyncio
import logging
from typing import Any

import pytest
from tests.turns import yield_once

from bolide.client.channel import Channel, ChannelMessage


def document(number: int, message: Any = None, *, count: str = "a", topic: str = "7") -> Any:
    return {"_id": f"{count}.{number}", "topic": topic, "n": number, "message": message}


@pytest.fixture
def channel() -> Channel:
    return Channel("typing", 3)


def test_each_message_comes_once_with_the_number_of_those_that_were_missed(
    channel: Channel,
) -> None:
    heard: list[ChannelMessage] = []
    channel.on_message(heard.append)
    for number in (5, 6, 6, 5, 9):
        channel.receive(document(number, number))
    channel.receive(document(1, "other", count="b", topic="8"))
    assert heard == [
        ChannelMessage("7", 5),
        ChannelMessage("7", 6),
        ChannelMessage("7", 9, missed=2),
        ChannelMessage("8", "other"),
    ]


def test_what_was_not_listened_to_is_not_missed(channel: Channel) -> None:
    heard: list[ChannelMessage] = []
    channel.on_message(heard.append)
    channel.receive(document(1))
    channel.interrupt()
    channel.receive(document(1))
    channel.receive(document(9))
    channel.receive(document(11))
    assert [message.missed for message in heard] == [0, 0, 1]


def test_a_callback_can_be_taken_off_and_harms_nobody(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[ChannelMessage] = []

    def fail(message: ChannelMessage) -> None:
        raise ValueError(str(message))

    channel.on_message(fail)
    stop = channel.on_message(heard.append)
    channel.on_message(heard.append)
    with caplog.at_level(logging.WARNING):
        channel.receive(document(1, "Meyer"))
    assert "A callback of the channel typing failed: ValueError." in caplog.text
    assert "Meyer" not in caplog.text
    stop()
    stop()
    channel.receive(document(2))
    assert len(heard) == 3


@pytest.mark.parametrize(
    "made_up", [{"_id": "b"}, {"_id": "b.x", "topic": "7"}, {"_id": "b.1", "topic": 7}, {"_id": 7}]
)
def test_what_is_no_message_is_left_alone(channel: Channel, made_up: Any) -> None:
    heard: list[ChannelMessage] = []
    channel.on_message(heard.append)
    channel.receive(made_up)
    assert heard == []


def test_counts_that_are_over_are_forgotten(channel: Channel) -> None:
    heard: list[ChannelMessage] = []
    channel.on_message(heard.append)
    for count in range(1_001):
        channel.receive(document(1, count=f"c{count}"))
    channel.receive(document(1, count="c1000"))
    assert len(heard) == 1_001


async def test_a_late_reader_is_told_what_it_missed(channel: Channel) -> None:
    messages = channel.messages()
    first = asyncio.ensure_future(anext(messages))
    await yield_once()
    for number in range(1, 7):
        channel.receive(document(number, number))
    channel.receive(document(8, 8))
    assert await first == ChannelMessage("7", 5, missed=4)
    assert await anext(messages) == ChannelMessage("7", 6)
    assert await anext(messages) == ChannelMessage("7", 8, missed=1)
    end = asyncio.ensure_future(anext(messages))
    await yield_once()
    channel.close()
    with pytest.raises(StopAsyncIteration):
        await end

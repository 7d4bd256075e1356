"""All subscriptions of a client: equal ones are shared, the last holder stops it."""

from bolide.client.ddp.conversation import Conversation
from bolide.client.events import SubscriptionEnded
from bolide.client.subscriptions import Subscriptions
from bolide.core.errors import SessionClosed


async def test_equal_ones_share_one_until_the_last_is_given_up() -> None:
    conversation = Conversation()
    pumped: list[None] = []
    subscriptions = Subscriptions(conversation, lambda: pumped.append(None))
    first = subscriptions.acquire("ward", [{"a": 1, "b": 2}])
    second = subscriptions.acquire("ward", [{"b": 2, "a": 1}])
    other = subscriptions.acquire("ward", [])
    assert first.shared is second.shared is not other.shared
    assert len(pumped) == 2
    first.give_up()
    first.give_up()
    assert conversation.events_received() == []
    second.give_up()
    assert conversation.events_received() == [SubscriptionEnded(first.shared.id)]
    assert subscriptions.acquire("ward", [{"a": 1, "b": 2}]).shared is not first.shared


async def test_answers_reach_the_holders_and_unknown_ones_nobody() -> None:
    subscriptions = Subscriptions(Conversation(), lambda: None)
    held = subscriptions.acquire("ward", [])
    subscriptions.ready("unknown")
    subscriptions.ended("unknown", None)
    assert not held.shared.was_ready
    subscriptions.ready(held.shared.id)
    await held.wait_ready()
    error = SessionClosed("over")
    subscriptions.end_all(error)
    assert await held.wait_ended() is error
    held.give_up()

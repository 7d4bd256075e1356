"""One conversation and a server that the test plays, message by message."""

import json
from typing import Any

from bolide.client.ddp.conversation import Conversation
from bolide.client.events import ConversationEvent, SessionOpened


class Talk:
    """One conversation with a clock and a server that the test plays."""

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.conversation = Conversation(**options)

    def open(self, **connected: Any) -> list[ConversationEvent]:
        self.conversation.connection_opened(self.now, deadline=self.now + 10)
        assert [m["msg"] for m in self.sent()] == ["connect"]
        return self.receive(msg="connected", session="s", **connected)

    def open_with_resync(self) -> list[ConversationEvent]:
        self.conversation.connection_opened(self.now, deadline=self.now + 10)
        assert self.sent()[0]["bolide"] == {"resync": True}
        return self.receive(msg="connected", session="s", bolide={"extensions": ["resync"]})

    def reopen(self) -> list[ConversationEvent]:
        lost = self.lose()
        assert self.open() == [SessionOpened()]
        return lost

    def lose(self) -> list[ConversationEvent]:
        self.conversation.connection_lost()
        return self.conversation.events_received()

    def receive(self, **message: Any) -> list[ConversationEvent]:
        return self.receive_text(json.dumps(message))

    def receive_text(self, frame: str) -> list[ConversationEvent]:
        self.conversation.receive_frame(frame, self.now)
        return self.conversation.events_received()

    def added(self, document_id: str, **fields: Any) -> list[ConversationEvent]:
        return self.receive(msg="added", collection="p", id=document_id, fields=fields)

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.conversation.frames_to_send()]

    def sent_ids(self) -> list[tuple[str, str]]:
        return [(m["msg"], m["id"]) for m in self.sent()]

    def wait(self, seconds: float) -> list[ConversationEvent]:
        self.now += seconds
        self.conversation.tick(self.now)
        return self.conversation.events_received()


def subscribed(talk: Talk, name: str = "ward") -> str:
    subscription_id = talk.conversation.subscribe(name, [])
    talk.sent()
    talk.receive(msg="ready", subs=[subscription_id])
    return subscription_id

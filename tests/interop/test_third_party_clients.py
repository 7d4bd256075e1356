"""Clients that were written for Meteor, unchanged, against two Bolide nodes on one store."""

from typing import Any

import pytest

CLIENTS = ["ddp", "ddp+sockjs", "simpleddp", "simpleddp+sockjs", "asteroid", "python-meteor"]


async def see_live_data(kind: str, servers: list[str], start_client: Any) -> None:
    here, there = servers
    client = await start_client(kind, here)
    assert (await client.act("subscribe", "tasks.all"))["event"] == "subscribe"

    # Its own call, another client's on the same node, and one on another node.
    other = await start_client("simpleddp", here)
    remote = await start_client("simpleddp", there)
    assert (await client.act("call", "tasks.add", "a", "mine"))["value"] == "a"
    assert (await other.act("call", "tasks.add", "b", "other"))["value"] == "b"
    assert (await remote.act("call", "tasks.add", "c", "remote"))["value"] == "c"
    shown = {
        id: {"title": title, "done": False}
        for id, title in (("a", "mine"), ("b", "other"), ("c", "remote"))
    }
    await client.shows("tasks", shown)

    assert (await remote.act("call", "tasks.finish", "a"))["value"] == 1
    assert (await other.act("call", "tasks.finish", "c"))["value"] == 1
    shown["a"]["done"] = shown["c"]["done"] = True
    await client.shows("tasks", shown)

    assert (await remote.act("call", "tasks.remove", "b"))["value"] == 1
    assert (await client.act("call", "tasks.remove", "a"))["value"] == 1
    await client.shows("tasks", {"c": shown["c"]})
    assert (await remote.act("call", "tasks.remove", "c"))["value"] == 1
    await client.shows("tasks", {})


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_meteor_client_sees_live_data(
    kind: str, servers: list[str], start_client: Any
) -> None:
    await see_live_data(kind, servers, start_client)


async def test_all_meteor_clients_hear_a_channel_and_do_not_grow(
    servers: list[str], start_client: Any
) -> None:
    here, there = servers
    clients = [await start_client(kind, here) for kind in CLIENTS]
    for client in clients:
        assert (await client.act("subscribe", "words", "7"))["event"] == "subscribe"
    remote = await start_client("ddp", there)
    for word in ("hello", "hello", "bye"):
        assert (await remote.act("call", "words.say", "7", word))["event"] == "call"
    for client in clients:
        await client.shows_messages("words", "bye", "hello", "hello")
        await client.shows_messages("words")
    assert (await remote.act("call", "words.say", "8", "elsewhere"))["event"] == "call"
    assert (await remote.act("call", "words.say", "7", "again"))["event"] == "call"
    for client in clients:
        await client.shows_messages("words", "again")


async def test_all_meteor_clients_see_live_data_on_mongodb(
    servers_on_mongodb: list[str], start_client: Any
) -> None:
    for kind in CLIENTS:
        await see_live_data(kind, servers_on_mongodb, start_client)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_meteor_client_gets_errors_as_meteor_gives_them(
    kind: str, servers: list[str], start_client: Any
) -> None:
    client = await start_client(kind, servers[0])

    async def error_of(command: str, name: str, *args: object) -> dict[str, Any]:
        event = await client.act(command, name, *args)
        assert event["event"] == "error", event
        error: dict[str, Any] = event["error"]
        return error

    refused = await error_of("call", "tasks.refuse")
    assert (refused["error"], refused["reason"]) == ("no-way", "Not today.")
    assert refused["details"] == {"until": "tomorrow"}
    failed = await error_of("call", "tasks.fail")
    assert (failed["error"], failed["reason"]) == (500, "Internal server error")
    missing = await error_of("call", "no.such.method")
    assert (missing["error"], missing["reason"]) == (404, "Method 'no.such.method' not found")
    wrong = await error_of("call", "tasks.add", 1, "title")
    assert wrong["error"] == 400
    nosub = await error_of("subscribe", "no.such.publication")
    assert nosub["reason"] == "Subscription 'no.such.publication' not found"
    assert nosub.get("error", 404) == 404
    refused = await error_of("subscribe", "tasks.refused")
    assert refused["reason"] == "These tasks are somebody else's."
    assert refused.get("error", "not-yours") == "not-yours"

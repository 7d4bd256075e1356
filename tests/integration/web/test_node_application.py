"""The node's endpoints as a browser, a Meteor client and a monitoring system see them."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.integration.conftest import Serve
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.uri import parse_uri

from bolide.core.errors import ConfigurationError
from bolide.server import App, Context, Settings
from bolide.server.limits import Limits
from bolide.server.telemetry.overview import Overview
from bolide.server.web.management import create_management

UPGRADE = (
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def make_app(pages: Path | None = None, **settings: Any) -> App:
    app = App(Settings(store="memory:", **settings), pages=pages)
    tasks = app.collection("tasks")

    @app.publish("tasks", public=True)
    async def publish(ctx: Context) -> object:
        return tasks.find()

    @app.method("add", public=True)
    async def add(ctx: Context, title: str) -> None:
        await tasks.insert_one({"title": title})

    @app.method("many", public=True)
    async def many(ctx: Context, count: int) -> None:
        await tasks.insert_many([{"title": "x" * 10_000} for _ in range(count)])

    return app


@pytest.mark.parametrize(
    "path", ["/websocket", "/websocket/", "/sockjs/websocket", "/websocket?a=1"]
)
async def test_ddp_is_spoken_on_every_path_of_meteor(serve: Serve, path: str) -> None:
    peer = await serve.peer(await serve(make_app().asgi), path)
    assert len(await peer.connect()) == 17
    await peer.send(msg="sub", id="1", name="tasks", params=[])
    assert await peer.read() == {"msg": "ready", "subs": ["1"]}
    result = await peer.call("add", "wash")
    assert "error" not in result


async def test_sockjs_frames_carry_the_same_messages(serve: Serve) -> None:
    address = await serve(make_app().asgi)
    peer = await serve.peer(address, "/sockjs/123/abcdefgh/websocket")
    assert await peer.connection.recv() == "o"
    message = json.dumps({"msg": "connect", "version": "1", "support": ["1"]})
    await peer.connection.send(json.dumps([message]))
    frame = str(await peer.connection.recv())
    assert frame.startswith('a["{')
    assert json.loads(json.loads(frame[1:])[0])["msg"] == "connected"
    await peer.connection.send("not json")
    assert (
        json.loads(json.loads(str(await peer.connection.recv())[1:])[0])["reason"] == "Bad request"
    )


async def test_a_sockjs_session_that_fails_is_told_why(serve: Serve) -> None:
    peer = await serve.peer(await serve(make_app().asgi), "/sockjs/123/abcdefgh/websocket")
    await peer.connection.recv()
    await peer.connection.send(
        json.dumps(json.dumps({"msg": "connect", "version": "9", "support": ["9"]}))
    )
    assert str(await peer.connection.recv()).startswith("a[")
    assert str(await peer.connection.recv()).startswith("c[3000,")
    with pytest.raises(ConnectionClosed):
        await peer.connection.recv()


async def test_sockjs_info_says_that_websocket_is_all(serve: Serve) -> None:
    address = await serve(make_app().asgi)
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        assert (await http.get("/sockjs")).text == "Welcome to SockJS!\n"
        assert (await http.get("/sockjs/")).text == "Welcome to SockJS!\n"
        origin = f"http://{address}"
        for headers in ({}, {"origin": origin}):
            answer = await http.get("/sockjs/info", headers=headers)
            assert answer.json()["websocket"] is True
            assert answer.json()["origins"] == [origin]
            assert answer.headers.get("access-control-allow-origin") == headers.get("origin")


async def test_a_binary_frame_is_a_bad_request(serve: Serve) -> None:
    peer = await serve.peer(await serve(make_app().asgi))
    await peer.connect()
    await peer.connection.send(b"\0\1")
    assert await peer.read() == {"msg": "error", "reason": "Bad request"}
    await peer.call("add", "still here")


async def test_a_message_over_the_limit_is_answered(serve: Serve) -> None:
    app = make_app(limits=Limits(max_message_bytes=1000))
    peer = await serve.peer(await serve(app.asgi))
    await peer.connect()
    await peer.send(msg="method", id="1", method="add", params=["x" * 2000])
    assert (await peer.read())["reason"].startswith("Message too large")
    await peer.call("add", "still here")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_another_origin_may_not_connect(serve: Serve, headers: dict[str, str]) -> None:
    address = await serve(make_app().asgi)
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://{address}/websocket", additional_headers=headers)
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/websocket"])
@pytest.mark.parametrize("name", ["Host", "Origin"])
async def test_a_header_that_admits_must_be_there_once(serve: Serve, path: str, name: str) -> None:
    address = await serve(make_app().asgi)
    host, _, port = address.partition(":")
    ours = {"Host": address, "Origin": f"http://{address}"}
    upgrade = UPGRADE if path == "/websocket" else "Connection: close\r\n"
    for values in ((ours[name], "evil.example"), ("evil.example", ours[name])):
        lines = [f"{key}: {value}" for key, value in ours.items() if key != name]
        lines += [f"{name}: {value}" for value in values]
        head = f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + f"\r\n{upgrade}\r\n"
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_another_host_is_not_served(serve: Serve) -> None:
    address = await serve(make_app().asgi)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/sockjs", headers={"host": "evil.example"})
        assert answer.status_code == 403
        assert "BOLIDE_PUBLIC_URL" in answer.text


async def test_pages_are_served_with_headers_that_keep_strangers_out(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<h1>Ward</h1>")
    address = await serve(make_app(tmp_path).asgi)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/")
        assert answer.text == "<h1>Ward</h1>"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.get(f"http://{address}/missing")).status_code == 404


async def test_an_app_without_pages_says_where_its_data_are(serve: Serve) -> None:
    address = await serve(make_app().asgi)
    async with httpx.AsyncClient() as http:
        assert f"bolide watch http://{address}/" in (await http.get(f"http://{address}/")).text


def test_pages_that_are_not_there_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder that exists"):
        _ = make_app(tmp_path / "none").asgi


async def test_a_mounted_app_lives_with_its_parent(serve: Serve) -> None:
    app = make_app()
    parent = Starlette(routes=[Mount("/live", app.asgi)], lifespan=app.lifespan)
    peer = await serve.peer(await serve(parent), "/live/websocket")
    await peer.connect()
    await peer.call("add", "wash")


async def test_a_mounted_app_without_lifespan_says_what_is_missing(serve: Serve) -> None:
    parent = Starlette(routes=[Mount("/live", make_app().asgi)])
    address = await serve(parent)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/live/sockjs")
        assert answer.status_code == 503
        assert "lifespan=app.lifespan" in answer.text
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://{address}/live/websocket")
    assert caught.value.response.status_code == 503


async def deaf_client(address: str, *messages: dict[str, Any]) -> socket.socket:
    """Open a WebSocket, send messages and never read anything after the handshake."""
    host, _, port = address.partition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    protocol = ClientProtocol(parse_uri(f"ws://{address}/websocket"))
    protocol.send_request(protocol.connect())
    await loop.sock_sendall(client, b"".join(protocol.data_to_send()))
    protocol.receive_data(await loop.sock_recv(client, 4_096))
    for message in messages:
        protocol.send_text(json.dumps(message).encode())
    await loop.sock_sendall(client, b"".join(protocol.data_to_send()))
    return client


async def test_a_client_that_never_reads_is_cut_and_the_others_go_on(serve: Serve) -> None:
    app = make_app(limits=Limits(max_outbound_bytes=50_000, slow_reader_timeout_s=1))
    address = await serve(app.asgi)
    writer = await serve.peer(address)
    await writer.connect()
    deaf = await deaf_client(
        address,
        {"msg": "connect", "version": "1", "support": ["1"]},
        {"msg": "sub", "id": "1", "name": "tasks", "params": []},
    )
    node = app.asgi.node
    assert node is not None
    while not (subscribed := [one for one in node.sessions if one.session.subscriptions]):
        await writer.call("add", "is it subscribed yet?")
    (driver,) = subscribed
    async with asyncio.timeout(20):
        while not driver.ended.is_set():
            await writer.call("many", 5)
    assert driver.session.close_reason in {
        "You read too slowly",
        "More waits for you than a session may hold",
    }
    await writer.call("add", "still here")
    deaf.close()


async def test_the_management_listener_tells_how_the_node_is(serve: Serve) -> None:
    app = make_app()
    management = await serve(create_management(app.asgi), lifespan="off")
    async with httpx.AsyncClient(base_url=f"http://{management}") as http:
        assert (await http.get("/livez")).text == "ok\n"
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/metrics")).text == ""
        address = await serve(app.asgi)
        peer = await serve.peer(address)
        await peer.connect()
        ready = await http.get("/readyz")
        said = ready.json()
        run = said.pop("run")
        assert (ready.status_code, said) == (200, {"ready": True, "sessions": 1})
        assert (await http.get("/readyz")).json()["run"] == run
        again = await serve(create_management(app.asgi), lifespan="off")
        async with httpx.AsyncClient(base_url=f"http://{again}") as other:
            assert (await other.get("/readyz")).json()["run"] != run
        node = app.asgi.node
        assert node is not None
        await node.store.close()
        assert (await http.get("/readyz")).status_code == 503
        metrics = await http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "bolide_sessions 1.0" in metrics.text


async def test_the_overview_is_for_a_node_that_runs_and_has_a_limit(serve: Serve) -> None:
    app = make_app()
    management = await serve(create_management(app.asgi), lifespan="off")
    async with httpx.AsyncClient(base_url=f"http://{management}") as http:
        assert (await http.get("/top")).status_code == 503
        address = await serve(app.asgi)
        for _ in range(2):
            await (await serve.peer(address)).connect()
        for bad in ("0", "1001", "-1", "1e2", "", "\u0664", "9" * 5000):
            refused = await http.get("/top", params={"limit": bad})
            assert (refused.status_code, refused.text) == (
                400,
                "limit is a whole number, 1 to 1000.\n",
            )
        for rows in (1, 1000):
            told = await http.get("/top", params={"limit": rows})
            overview = msgspec.json.decode(told.content, type=Overview)
            assert overview.sessions.count == 2
            assert len(overview.session_rows) == min(rows, 2)
        assert told.headers["cache-control"] == "no-store"
        assert len((await http.get("/top")).json()["session_rows"]) == 2
        assert (await http.post("/top")).status_code == 405


async def test_a_node_that_stops_says_why(serve: Serve) -> None:
    app = make_app()
    async with app.lifespan():
        node = app.asgi.node
        assert node is not None
        assert node.is_ready
    assert app.asgi.node is None


async def test_a_drain_lets_nobody_in(serve: Serve) -> None:
    app = make_app()
    management = await serve(create_management(app.asgi), lifespan="off")
    async with httpx.AsyncClient(base_url=f"http://{management}") as http:
        assert (await http.post("/drain", json={"within": 0})).status_code == 503
        address = await serve(app.asgi)
        peer = await serve.peer(address)
        await peer.connect()
        for bad in ("", "{}", '{"within":-1}', '{"within":3601}', '{"within":"1"}'):
            assert (await http.post("/drain", content=bad)).status_code == 400
        drained = await http.post("/drain", json={"within": 0})
        assert (drained.status_code, drained.json()) == (200, {"sessions": 1})
        with pytest.raises(ConnectionClosed):
            await peer.read()
        assert (await http.get("/readyz")).status_code == 503
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://{address}/websocket")
        assert caught.value.response.status_code == 503


async def test_the_build_is_that_of_the_pages_unless_it_is_set(
    serve: Serve, tmp_path: Path
) -> None:
    builds = list[str]()
    for build_id, text in ((None, "a"), (None, "a"), (None, "b"), ("7.1", "b")):
        (tmp_path / "index.html").write_text(text)
        peer = await serve.peer(await serve(make_app(tmp_path, build_id=build_id).asgi))
        await peer.send(msg="connect", version="1", support=["1"], bolide={})
        builds.append((await peer.read())["bolide"]["build"])
    assert builds[0] == builds[1] != builds[2]
    assert builds[3] == "7.1"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": ""},
    ],
)
async def test_a_page_may_not_ask_the_management_listener(
    serve: Serve, headers: dict[str, str]
) -> None:
    app = make_app()
    management = await serve(create_management(app.asgi), lifespan="off")
    await serve(app.asgi)
    async with httpx.AsyncClient(base_url=f"http://{management}") as http:
        for method, path in (("GET", "/top"), ("GET", "/readyz"), ("POST", "/drain")):
            answer = await http.request(method, path, headers=headers, content=b'{"within":0}')
            assert answer.status_code == 403
        for name in ("localhost", "[::1]:3000", "127.0.0.1"):
            assert (await http.get("/readyz", headers={"Host": name})).status_code == 200


async def test_the_management_listener_has_one_name(serve: Serve) -> None:
    host, _, port = (await serve(create_management(make_app().asgi), lifespan="off")).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()

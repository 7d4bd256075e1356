"""A balancer as its operator has it: a supervisor, workers and nodes, all of them processes."""

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster_certificates import CertificateAuthority
from tests.integration.balancer.browser import Browser, where
from tests.integration.balancer.processes import (
    Balancer,
    Cluster,
    NodeProcess,
    Place,
    children_of,
    program,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Ward:
    """Two nodes that run for all tests; a test that would hurt them starts its own."""

    authority: CertificateAuthority
    a: NodeProcess
    b: NodeProcess


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Ward]:
    async with Cluster(tmp_path_factory.mktemp("ward")) as cluster:
        yield Ward(cluster.authority, *await two_nodes(cluster))


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(ward: Ward, tmp_path: Path) -> AsyncGenerator[Cluster]:
    async with Cluster(tmp_path, ward.authority) as cluster:
        yield cluster


async def two_nodes(cluster: Cluster) -> tuple[NodeProcess, NodeProcess]:
    a, b = await asyncio.gather(cluster.node("a"), cluster.node("b"))
    return a, b


async def test_a_browser_comes_back_to_its_node_and_others_are_spread(
    cluster: Cluster, ward: Ward
) -> None:
    balancer = await cluster.balancer(cluster.settings(ward.a, ward.b, workers=2))
    await balancer.has(a="up", b="up")
    browser = Browser(cluster, balancer)
    first = await browser.where()
    assert browser.cookie.startswith("__Host-bolide_lb=")
    assert [await browser.where() for _ in range(6)] == [first] * 6
    others = {await Browser(cluster, balancer).where() for _ in range(12)}
    assert others == {"a", "b"}
    assert (await balancer.client.get("/readyz")).status_code == 200
    assert (await balancer.client.get("/livez")).text == "ok\n"
    await balancer.counts("tunnels_total", 19)
    await balancer.counts("workers", 2)
    ends = await balancer.metric('certificate_expiry_timestamp_seconds{setting="certificate[1]"}')
    assert ends is not None
    assert 0.9 < (ends - time.time()) / 86_400 < 1.1


async def test_sessions_that_a_node_reports_are_shown(cluster: Cluster, ward: Ward) -> None:
    balancer = await cluster.balancer(cluster.settings(ward.a))
    async with Browser(cluster, balancer).session() as session:
        await where(session)
        await balancer.counts('node_sessions{node="a"}', 1)
        await balancer.counts('node_connections{node="a"}', 1)


async def test_the_clients_of_a_killed_node_go_to_the_other(cluster: Cluster) -> None:
    a, b = await two_nodes(cluster)
    balancer = await cluster.balancer(cluster.settings(a, b))
    await balancer.has(a="up", b="up")
    browser = Browser(cluster, balancer)
    killed = a if await browser.where() == "a" else b
    killed.program.send(signal.SIGKILL)
    assert await browser.where() != killed.name
    left = {"a", "b"} - {killed.name}
    await balancer.has(**{killed.name: "down"}, **dict.fromkeys(left, "up"))
    row = (await balancer.nodes())[killed.name]
    assert "ConnectionRefusedError" in row["why"]
    await cluster.node(killed.name, port=killed.port, management_port=killed.management_port)
    await balancer.has(a="up", b="up")


async def test_a_node_that_is_drained_sends_its_clients_away_and_gets_nobody(
    cluster: Cluster,
) -> None:
    a, b = await two_nodes(cluster)
    balancer = await cluster.balancer(cluster.settings(a, b))
    await balancer.has(a="up", b="up")
    browser = Browser(cluster, balancer)
    async with browser.session() as session:
        drained = await where(session)
        answer = await balancer.client.post("/drain", json={"node": drained, "within": 0})
        assert answer.json() == {"node": drained, "told": True, "sessions": 1, "problem": ""}
        await session.wait_closed()
    (other,) = {"a", "b"} - {drained}
    await balancer.has(**{drained: "draining", other: "up"})
    assert {await browser.where() for _ in range(4)} == {other}
    # What the node says of itself holds, until it was started again.
    assert (await balancer.client.post("/undrain", json={"node": drained})).status_code == 200
    await balancer.has(**{drained: "draining", other: "up"})
    old = a if drained == "a" else b
    old.program.send(signal.SIGTERM)
    assert await old.program.status() == 0
    await cluster.node(drained, port=old.port, management_port=old.management_port)
    await balancer.has(a="up", b="up")


async def test_no_session_fails_while_a_node_is_drained(cluster: Cluster) -> None:
    a, b = await two_nodes(cluster)
    balancer = await cluster.balancer(cluster.settings(a, b, workers=2))
    await balancer.has(a="up", b="up")
    seen: list[str] = []
    drained = asyncio.Event()

    async def come_and_go() -> None:
        browser = Browser(cluster, balancer)
        while not drained.is_set():
            seen.append(await browser.where())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(come_and_go())
        await until(partial(has_seen, seen, 30))
        answer = await balancer.client.post("/drain", json={"node": "a", "within": 2})
        assert answer.json()["told"]
        at = len(seen)
        await until(partial(has_seen, seen, at + 30))
        drained.set()
    assert set(seen[:at]) == {"a", "b"}
    assert set(seen[at + 6 :]) == {"b"}


async def has_seen(seen: list[str], count: int) -> bool:
    return len(seen) >= count


async def test_a_node_that_cannot_be_told_is_given_nobody_all_the_same(
    cluster: Cluster, ward: Ward
) -> None:
    a, b = ward.a, ward.b
    settings = cluster.settings(a, b).replace(
        f'management = "127.0.0.1:{a.management_port}"', ""
    )  # it is asked where clients come, and answers 404 there
    balancer = await cluster.balancer(settings)
    await balancer.has(a="down", b="up")
    answer = await balancer.client.post("/drain", json={"node": "a", "within": 0})
    assert answer.json()["problem"] == "it has no management listener"
    assert not answer.json()["told"]


async def test_the_last_node_is_drained_only_by_force(cluster: Cluster) -> None:
    node, dead = await cluster.node("a"), cluster.nobody("b")
    balancer = await cluster.balancer(cluster.settings(node, dead))
    await balancer.has(a="up", b="down")
    wish = {"node": "a", "within": 0}
    refused = await balancer.client.post("/drain", json=wish)
    assert refused.status_code == 409
    assert "a is the only node that gets new sessions" in refused.text
    assert await Browser(cluster, balancer).where() == "a"
    forced = await balancer.client.post("/drain", json={**wish, "force": True})
    assert forced.json()["told"]
    await balancer.has(a="draining", b="down")


async def test_wishes_that_make_no_sense_are_refused(cluster: Cluster) -> None:
    balancer = await cluster.balancer(cluster.settings(cluster.nobody("a")))
    wishes: list[tuple[str, object, int, str]] = [
        ("/drain", {"node": "x", "within": 1}, 404, "There are: a."),
        ("/drain", {"node": "a", "within": -1}, 400, "0 to 3600"),
        ("/drain", {"node": "a", "within": 3601}, 400, "0 to 3600"),
        ("/drain", {"node": "a"}, 400, "0 to 3600"),
        ("/drain", {"node": "a", "within": 1, "more": "x" * 5000}, 400, "0 to 3600"),
        ("/drain", {"node": "a", "within": 1, "force": "yes"}, 400, '"force": true'),
        ("/undrain", {"node": "x"}, 404, "There are: a."),
        ("/undrain", [], 400, "Send"),
    ]
    for path, body, status, said in wishes:
        answer = await balancer.client.post(path, json=body)
        assert (answer.status_code, said in answer.text) == (status, True)
    answer = await balancer.client.post("/drain", json={"node": "a", "within": 0})
    assert answer.json()["problem"] == "no answer: ConnectionRefusedError"
    assert (await balancer.nodes())["a"]["is_held"]


async def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(
    cluster: Cluster, ward: Ward
) -> None:
    balancer = await cluster.balancer(cluster.settings(ward.a))
    browser = Browser(cluster, balancer)
    assert await browser.where() == "a"
    await balancer.counts("tunnels_total", 1)
    await balancer.counts("tunnels_open", 0)
    (worker,) = children_of(balancer.program.process.pid)
    os.kill(worker, signal.SIGKILL)
    await balancer.counts("worker_restarts_total", 1)
    await balancer.counts("workers", 1)
    assert await browser.where() == "a"
    await balancer.counts("tunnels_total", 2)


async def has_ended(pid: int) -> bool:
    return not is_running(pid)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_settings_are_read_again_and_bad_ones_change_nothing(
    cluster: Cluster, ward: Ward
) -> None:
    a, b = ward.a, ward.b
    settings = cluster.settings(a)
    balancer = await cluster.balancer(settings)
    await balancer.has(a="up")
    browser = Browser(cluster, balancer)
    async with browser.session() as session:
        balancer.file.write_text(settings.replace("[health]", "[helth]"))
        balancer.program.send(signal.SIGHUP)
        await balancer.program.said("are refused: .*line 13: helth .* did you mean health")
        balancer.file.write_text(settings.replace("redirect", "proxied_from = []\n#"))
        balancer.program.send(signal.SIGHUP)
        await balancer.program.said("redirect is .* restart it to change this")
        assert await balancer.metric('reloads_total{outcome="refused"}') == 2
        balancer.file.write_text(cluster.settings(a, b, workers=2))
        balancer.program.send(signal.SIGHUP)
        await balancer.program.said("the settings were read again\n")
        await balancer.has(a="up", b="up")
        assert await balancer.metric("workers") == 2
        assert await where(session) == "a"  # who is there stays
    assert await browser.where() == "a"  # by a cookie from before


async def test_a_cookie_holds_when_keys_are_changed_and_the_balancer_is_started_again(
    cluster: Cluster,
    ward: Ward,
) -> None:
    old, new = cluster.key("old"), cluster.key("new")
    settings = cluster.settings(ward.a, ward.b)
    with_old, with_both = (f"{settings}[affinity]\nkeys = {keys}\n" for keys in ([old], [new, old]))
    balancer = await cluster.balancer(with_old)
    await balancer.has(a="up", b="up")
    browsers = [Browser(cluster, balancer) for _ in range(4)]
    first = [await browser.where() for browser in browsers]
    balancer.file.write_text(with_both)
    balancer.program.send(signal.SIGHUP)
    await balancer.program.said("the settings were read again\n")
    assert [await browser.where() for browser in browsers] == first
    balancer.program.send(signal.SIGTERM)
    assert await balancer.program.status() == 0
    again = await cluster.balancer(with_both)
    await again.has(a="up", b="up")
    for browser in browsers:
        browser.balancer = again
    assert [await browser.where() for browser in browsers] == first


async def test_a_node_whose_sessions_fail_is_ejected_and_no_client_notices(
    cluster: Cluster,
    ward: Ward,
) -> None:
    """Its management listener answers, and nobody listens where clients come."""
    a, b = ward.a, ward.b
    nobody = cluster.nobody("a")
    broken = Place("a", nobody.port, a.management_port)
    balancer = await cluster.balancer(cluster.settings(broken, b))
    await balancer.has(a="up", b="up")
    assert {await Browser(cluster, balancer).where() for _ in range(20)} == {"b"}
    await balancer.has(a="down", b="up")
    assert (await balancer.nodes())["a"]["is_ejected"]


async def test_a_supervisor_that_is_killed_leaves_its_place_to_the_next(
    cluster: Cluster, ward: Ward
) -> None:
    port = cluster.nobody("free").port
    settings = cluster.settings(ward.a)
    settings = settings.replace('listen = ["127.0.0.1:0"]', f'listen = ["127.0.0.1:{port}"]')
    balancer = await cluster.balancer(settings)
    async with Browser(cluster, balancer).session() as session:
        balancer.program.send(signal.SIGKILL)
        await until(partial(has_ended, balancer.program.process.pid))
        assert await where(session) == "a"  # its worker goes on for a while
        again = await cluster.balancer(settings)
        assert await Browser(cluster, again).where() == "a"
        assert await where(session) == "a"


async def test_the_addresses_of_a_host_name_are_nodes(cluster: Cluster) -> None:
    node = await cluster.node("a", identity="bolide://ward/node/node-127-0-0-1")
    dns = f"""
[[nodes.dns]]
address = "localhost:{node.port}"
management_port = {node.management_port}
"""
    balancer = await cluster.balancer(cluster.settings() + dns)
    assert await Browser(cluster, balancer).where() == "a"
    assert (await balancer.nodes())["node-127-0-0-1"]["state"] == "up"


async def test_a_node_without_the_right_name_gets_nobody(cluster: Cluster, ward: Ward) -> None:
    bad = Place("c", ward.b.port, ward.b.management_port)
    balancer = await cluster.balancer(cluster.settings(ward.a, bad))
    await balancer.has(a="up", c="down")
    assert (await balancer.nodes())["c"]["why"] == "Untrusted (other-name)"
    assert {await Browser(cluster, balancer).where() for _ in range(4)} == {"a"}


async def test_without_a_node_clients_are_told_to_come_again(cluster: Cluster) -> None:
    balancer = await cluster.balancer(cluster.settings(cluster.nobody("a")))
    assert (await balancer.client.get("/readyz")).status_code == 503
    context = ssl.create_default_context(cafile=cluster.authority.pem)
    reader, writer = await asyncio.open_connection("localhost", balancer.ports[0], ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 2\r\n" in answer
    writer.close()


async def is_not_ready(balancer: Balancer) -> bool:
    return (await balancer.client.get("/readyz")).status_code == 503


async def test_at_the_end_who_is_there_may_stay_for_a_while(cluster: Cluster, ward: Ward) -> None:
    balancer = await cluster.balancer(cluster.settings(ward.a))
    async with Browser(cluster, balancer).session() as session:
        assert await where(session) == "a"
        balancer.program.send(signal.SIGTERM)
        await until(partial(is_not_ready, balancer))
        assert await where(session) == "a"
    assert await balancer.program.status() == 0
    assert not balancer.management.exists()


async def test_a_signal_while_it_starts_ends_it(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        file = cluster.folder / "balancer.toml"
        settings = cluster.settings(Place("a", port, port))
        file.write_text(settings.replace("[health]", "[health]\ntimeout_s = 600"))
        arguments = ("-m", "bolide.balancer.supervisor", str(file))
        async with program(*arguments, folder=cluster.folder) as starting:
            silent.setblocking(False)
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            starting.send(signal.SIGTERM)
            assert await starting.status() == 0
            connection.close()
            assert "Balancer:" not in starting.text


async def test_a_second_signal_ends_it_at_once(cluster: Cluster, ward: Ward) -> None:
    settings = cluster.settings(ward.a).replace("drain_s = 5", "drain_s = 600")
    balancer = await cluster.balancer(settings)
    async with Browser(cluster, balancer).session() as session:
        assert await where(session) == "a"
        workers = children_of(balancer.program.process.pid)
        balancer.program.send(signal.SIGTERM)
        await until(partial(is_not_ready, balancer))
        await asyncio.sleep(1.1)  # a signal that comes sooner is the same one
        balancer.program.send(signal.SIGTERM)
    assert await balancer.program.status() == 1
    assert not any(map(is_running, workers))


async def test_a_second_balancer_does_not_take_the_place_of_the_first(cluster: Cluster) -> None:
    balancer = await cluster.balancer(cluster.settings(cluster.nobody("a")))
    assert balancer.management.stat().st_mode & 0o777 == 0o600
    assert balancer.management.parent.stat().st_mode & 0o777 == 0o700
    arguments = ("-m", "bolide.balancer.supervisor", str(balancer.file))
    async with program(*arguments, folder=cluster.folder) as second:
        assert await second.status() == 1
        await second.said("another balancer runs there")
    assert (await balancer.client.get("/livez")).status_code == 200


async def test_what_cannot_work_is_one_line(cluster: Cluster) -> None:
    file = cluster.folder / "balancer.toml"
    file.write_text('cluster = "ward"\nlissen = []\n')
    arguments = ("-m", "bolide.balancer.supervisor", str(file))
    async with program(*arguments, folder=cluster.folder) as refused:
        assert await refused.status() == 1
        await refused.said("line 2: lissen is no setting of a balancer: did you mean listen")
        assert refused.text.count("\n") == 1

"""Nodes and workers that are killed, rolling restarts, and certificates that change, under load.

``BOLIDE_TESTS_NODE_KILLS``, ``..._WORKER_KILLS``, ``..._ROLLING_RESTARTS`` and ``..._RELOADS`` are
the numbers of events (1 each), ``..._DRAIN_S`` the time that a drain may take (8), ``..._REST_S``
the time between two events (1); the load is that of ``scene.py``. ``pytest -rP`` shows how long
clients were away.
"""

import asyncio
import os
import random
import signal
import ssl
import time
import tomllib
from collections import Counter
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.faults.balanced.figures import Figures
from tests.faults.balanced.scene import NODES, Scene, number, staged
from tests.integration.balancer.processes import children_of

NODE_KILLS, WORKER_KILLS = number("NODE_KILLS", "1"), number("WORKER_KILLS", "1")
ROLLING_RESTARTS, RELOADS = number("ROLLING_RESTARTS", "1"), number("RELOADS", "1")
DRAIN_S, REST_S = number("DRAIN_S", "8"), number("REST_S", "1")


class Harm:
    """What happens to anybody from now on."""

    def __init__(self, scene: Scene) -> None:
        self.since = time.monotonic()
        self._scene = scene

    @property
    def lost(self) -> set[str]:
        """Who lost a connection."""
        seats = self._scene.crowds.seats
        return {
            name for name, seat in seats.items() if seat.losses and seat.losses[-1][0] > self.since
        }

    def away_s(self, names: set[str]) -> list[float]:
        """Return how long it took until they were shown what is so again."""
        seats = self._scene.crowds.seats
        return [seats[name].returns[-1] - self.since for name in names]

    def check_nobody_noticed(self) -> None:
        """No client lost its connection, no call and no request failed."""
        seats = self._scene.crowds.seats
        assert {name: seats[name] for name in self.lost} == {}
        failures = [seat.failures for seat in self._scene.crowds.seats.values()]
        failures += [browser.failures for browser in self._scene.browsers]
        assert [one for some in failures for one in some if one[0] > self.since] == []


async def kill_node(scene: Scene) -> list[float]:
    seats = scene.crowds.seats
    name = random.choice([seat.node for seat in seats.values()])
    victims = {person for person, seat in seats.items() if seat.node == name}
    harm = Harm(scene)
    shut = scene.shuts(name)
    scene.nodes[name].program.send(signal.SIGKILL)
    shut.is_left = time.monotonic()
    await scene.crowds.until(
        lambda: all(
            seats[one].sessions[-1][0] > harm.since and not seats[one].is_away for one in victims
        )
    )
    await scene.start(name)
    assert harm.lost == victims
    return harm.away_s(victims)


async def kill_worker(scene: Scene) -> list[float]:
    balancer, seats = scene.balancer, scene.crowds.seats
    restarts = await balancer.metric("worker_restarts_total")
    assert restarts is not None
    harm = Harm(scene)
    os.kill(random.choice(children_of(balancer.program.process.pid)), signal.SIGKILL)
    await balancer.counts("worker_restarts_total", restarts + 1)
    await balancer.counts("workers", 2)
    await balancer.counts("tunnels_open", len(seats))
    await scene.crowds.until(lambda: not any(seat.is_away for seat in seats.values()))
    return harm.away_s(harm.lost)


async def restart_nodes(scene: Scene) -> list[float]:
    """Drain one after the other, and start it again."""
    balancer = scene.balancer
    harm = Harm(scene)
    for name in NODES:
        shut = scene.shuts(name)
        answer = await balancer.client.post(
            "/drain", json={"node": name, "within": DRAIN_S}, timeout=30
        )
        assert answer.json()["told"]
        await scene.crowds.until(partial(_is_left, scene, name))
        shut.is_left = time.monotonic()
        await balancer.counts(f'node_sessions{{node="{name}"}}', 0)
        node = scene.nodes[name].program
        node.send(signal.SIGTERM)
        assert await node.status() == 0
        await scene.start(name)
    harm.check_nobody_noticed()
    return []


def _is_left(scene: Scene, node: str) -> bool:
    return all(seat.node != node for seat in scene.crowds.seats.values())


async def change_certificate(scene: Scene) -> list[float]:
    harm = Harm(scene)
    balancer = scene.balancer
    [table] = tomllib.loads(balancer.file.read_text())["certificate"]
    new = scene.cluster.authority.issue(None, addresses=["localhost"])
    os.replace(new.chain, table["chain"])
    os.replace(new.key, table["key"])
    done = await balancer.metric('reloads_total{outcome="done"}')
    assert done is not None
    balancer.program.send(signal.SIGHUP)
    await balancer.counts('reloads_total{outcome="done"}', done + 1)
    context = ssl.create_default_context(cafile=scene.cluster.authority.pem)
    for _ in range(5):
        _, writer = await asyncio.open_connection("localhost", balancer.ports[0], ssl=context)
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        certificate = shown.getpeercert(binary_form=True)
        assert certificate is not None
        assert sha256(certificate).hexdigest() == new.fingerprint
        writer.close()
    await asyncio.sleep(REST_S)  # under load
    harm.check_nobody_noticed()
    return []


async def test_no_session_goes_astray_and_no_call_is_lost(tmp_path: Path) -> None:
    events = [kill_node] * NODE_KILLS + [kill_worker] * WORKER_KILLS
    events += [restart_nodes] * ROLLING_RESTARTS + [change_certificate] * RELOADS
    random.shuffle(events)
    figures = Figures()
    async with staged(tmp_path) as scene:
        began = time.monotonic()
        before, _ = await scene.crowds.count()
        for event in events:
            await asyncio.sleep(REST_S)  # under load
            figures.add(event.__name__, await event(scene))
        messages, slowest_s = await scene.crowds.count()
        took_s = time.monotonic() - began
        calls = await scene.crowds.stop()
        acknowledged = await scene.check(calls)
        await scene.crowds.show(await scene.cells())
        figures.print()
        failures = Counter(
            error for seat in scene.crowds.seats.values() for _, error in seat.failures
        )
        pages = Counter(error for one in scene.browsers for _, error in one.failures)
        print(
            f"{(messages - before) / took_s:.0f} messages/s for {took_s:.0f} s;"
            f" {acknowledged} calls acknowledged, none lost, none run twice; not: {dict(failures)};"
            f" the slowest answer took {slowest_s:.1f} s;"
            f" {sum(one.answered for one in scene.browsers)} pages, not: {dict(pages)},"
            f" the slowest {max(one.slowest_s for one in scene.browsers):.1f} s"
        )
        assert scene.wrong_sessions() == []
        figures.check()

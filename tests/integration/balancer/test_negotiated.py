"""What an outside probe finds on a balancer's listener, and what a balancer offers to nodes."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.integration.balancer.processes import Cluster, Place
from tests.tls_probe import TLS_1_2, TLS_1_3, probe

from bolide.core.client_hello import Offer, parse_offer

_P256, _P384 = 23, 24
_TIMEOUT_S = 20
_SIGNALS = {0x00FF, 0x5600}  # in the list of suites, but none


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def test_a_balancer_takes_two_versions_their_suites_and_two_groups(cluster: Cluster) -> None:
    balancer = await cluster.balancer(cluster.settings(cluster.nobody("n1")))
    taken = await asyncio.to_thread(probe, balancer.ports[0])
    assert taken.suites == {TLS_1_2: {0xC02B, 0xC02C}, TLS_1_3: {0x1301, 0x1302}}
    assert taken.groups == {_P256, _P384}


async def test_a_balancer_offers_its_nodes_nothing_else(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:
        node.settimeout(_TIMEOUT_S)
        port: int = node.getsockname()[1]
        await cluster.balancer(cluster.settings(Place("n1", port, port)))
        offer = await asyncio.to_thread(_offered, node)
    assert {*offer.versions} == {TLS_1_2, TLS_1_3}
    assert {*offer.suites} - _SIGNALS == {0x1301, 0x1302, 0xC02B, 0xC02C, 0xC02F, 0xC030}
    assert {*offer.groups} == {_P256, _P384}


def _offered(node: socket.socket) -> Offer:
    """Return what the first one who comes offers: a probe of the supervisor's."""
    connection, _ = node.accept()
    with connection:
        connection.settimeout(_TIMEOUT_S)
        head = connection.recv(5, socket.MSG_WAITALL)
        return parse_offer(head + connection.recv(int.from_bytes(head[3:]), socket.MSG_WAITALL))

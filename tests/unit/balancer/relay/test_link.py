import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cluster_certificates import CertificateAuthority
from tests.handshakes import connected

from bolide.balancer.relay import link as link_module
from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.link import Link
from bolide.balancer.tls.engine import client_engine, server_engine

_HOST = "ward.example.org"


def test_a_peer_that_never_reads_is_let_go_without_the_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "FLUSH_TIMEOUT_S", 0.1)
    authority = CertificateAuthority(tmp_path)
    server = authority.server(authority.issue(None, addresses=[_HOST]))
    server.verify_mode = ssl.CERT_NONE
    loop = EventLoop()
    with connected() as (ours, theirs):
        peer = client_engine(authority.client(), theirs, _HOST, None)
        engine = server_engine(server, ours, None)
        for _ in range(3):
            for side in (peer, engine):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        with suppress(BlockingIOError):
            while True:  # not even close_notify finds a place
                ours.send(b"x")
        link = Link(loop, ours, engine)
        link.on_closed = loop.stop
        link.watch()
        link.end()
        assert not link.is_closed
        loop.call_later(20, loop.stop)
        loop.run()
        assert link.is_closed

"""A worker that retires ends, whatever its connections do."""

from pathlib import Path
from typing import Any, cast

from tests.certificates import Authority

from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.relay import Relay
from bolide.balancer.worker.messages import Configure, NodeTLS, ServerCertificate


class Stuck:
    """A connection that does not say that it is gone."""

    def retire(self) -> None:
        pass

    def abort(self) -> None:
        pass


def test_who_never_says_that_he_is_gone_keeps_no_worker(tmp_path: Path) -> None:
    loop = EventLoop()
    own = Authority(tmp_path).issue("localhost")
    configuration = Configure(
        version=1,
        cluster="ward",
        listeners={},
        nodes=NodeTLS(verify="off"),
        certificates=(ServerCertificate(own.cert, own.key),),
    )
    relay = Relay(loop, configuration, lambda _node, _what: None)
    relay._clients.add(cast("Any", Stuck()))  # pyright: ignore[reportPrivateUsage]
    relay.retire(0.0, loop.stop)
    loop.run()
    assert not relay.open_clients

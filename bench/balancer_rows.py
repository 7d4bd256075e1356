"""The rows of the balancer: TLS in, TLS out, verified and sticky, beside its peers."""

from collections.abc import Callable

from bench.rig.balancers import bolide_balancer, c_relay, haproxy, nginx, node_http_proxy
from bench.rig.load import Reading, relay_load
from bench.rig.material import Material
from bench.rig.process import Running
from bench.rig.servers import Server
from bench.rows import Measure, Row

__all__ = ["BALANCER_ROWS"]


def _measure(key: str, *words: str) -> Measure:
    def measure(server: Server, running: Running, material: Material) -> Reading:
        return relay_load(server, running, material, key=key, words=words)

    return measure


def _row(name: str, unit: str, measure: Measure, *more: Callable[[], Server]) -> Row:
    return _among(name, unit, measure, haproxy(), *[make() for make in more], bolide_balancer())


def _among(name: str, unit: str, measure: Measure, *servers: Server) -> Row:
    """Return a row whose first server is the reference."""
    reference = servers[0].name
    return Row(
        name=name,
        unit=unit,
        reference=reference,
        servers=servers,
        measure=measure,
        app="",
        tls=True,
    )


BALANCER_ROWS = (
    _row(
        "balancer-message",
        "us of CPU per echo, two relayed messages",
        _measure("cpu_us_per_rt", "-m", "echo", "-c", "50", "-s", "64", "-d", "1"),
        nginx, node_http_proxy, c_relay,
    ),
    _row(
        "balancer-large-message",
        "us of CPU per echo, two relayed messages of 4 KiB",
        _measure("cpu_us_per_rt", "-m", "echo", "-c", "500", "-s", "4096", "-d", "1"),
        node_http_proxy, c_relay,
    ),
    _row(
        "balancer-http",
        "us of CPU per request",
        _measure(
            "cpu_us_per_rt", "-m", "http", "-c", "50", "-K", "SRV=n1; other=1", "-d", "1"
        ),
        nginx, node_http_proxy,
    ),
    _row(
        "balancer-connection",
        "us of CPU per new WebSocket, two handshakes",
        _measure("cpu_us_per_hs", "-m", "hs", "-c", "16", "-d", "1.5"),
        nginx, node_http_proxy, c_relay,
    ),
    _row(
        "balancer-idle",
        "kB per idle connection",
        _measure("kb_per_conn", "-m", "idle", "-c", "2000", "-d", "1"),
        nginx, node_http_proxy, c_relay,
    ),
    _among(
        "balancer-workers",
        "us of CPU per echo, two relayed messages",
        _measure("cpu_us_per_rt", "-m", "echo", "-c", "50", "-s", "64", "-d", "1"),
        bolide_balancer(),
        bolide_balancer(workers=2),
    ),
    _among(
        "balancer-idle-busy",
        "us of CPU per echo, two relayed messages",
        _measure("cpu_us_per_rt", "-m", "echo", "-c", "200", "-s", "64", "-d", "2"),
        bolide_balancer(workers=2),
        bolide_balancer(workers=2, idle=10_000),
    ),
)  # fmt: skip

"""The settings of a balancer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bolide.balancer.choice.chooser import Policy
from bolide.balancer.health.health import HealthRules
from bolide.balancer.members.address import Address
from bolide.balancer.members.member import Member
from bolide.balancer.worker.messages import Limits, ServerCertificate

__all__ = [
    "AffinitySettings",
    "BalancerSettings",
    "DNSName",
    "HealthSettings",
    "NodeTLSSettings",
    "NodesSettings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTLSSettings:
    """Table ``[nodes.tls]``: how a node proves itself, and we to it.

    Attributes:
        ca: PEM file with the authorities that are believed; empty: those of this machine, with
            ``verify = "name"``.
        chain: PEM file with the balancer's own certificate.
        key: PEM file with its key, closed to other users.
        denied: File with the SHA-256 fingerprints of certificates that are refused, one a line.
    """

    ca: str = ""
    chain: str = ""
    key: str = ""
    denied: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DNSName:
    """Table ``[[nodes.dns]]``: each address of a host name is a node.

    Attributes:
        address: The host name, and the port of all nodes.
        management_port: Port of their management listeners; None: they are asked at ``address``.
        weight: Share of new sessions beside other nodes, of each.
        max_connections: From this balancer to each; 0 is no limit.
    """

    address: Address
    management_port: int | None = None
    weight: float = 1.0
    max_connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesSettings:
    """Table ``[nodes]``: which there are, and how they are reached.

    Attributes:
        static: Nodes that the operator wrote down.
        dns: Host names whose addresses are nodes.
        registry: URL of the store in which nodes announce themselves; empty for none.
        insecure_registry: Let MongoDB on another machine be used without TLS or a password.
        verify: What a node must prove: ``role``, ``name``, or ``off`` on loopback.
        lookup_interval_s: Time between two questions for the addresses of a host name.
        tls: Certificates.
    """

    static: tuple[Member, ...] = ()
    dns: tuple[DNSName, ...] = ()
    registry: str = field(default="", repr=False)
    insecure_registry: bool = False
    verify: Literal["role", "name", "off"] = "role"
    lookup_interval_s: float = 2.0
    tls: NodeTLSSettings = NodeTLSSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinitySettings:
    """Table ``[affinity]``: the cookie that brings a client back to its node.

    Attributes:
        keys: Files with a key of 32 bytes each, closed to other users; the first one seals, all
            open. Without any a key is made that is forgotten when the balancer ends.
        max_age_s: How long a cookie holds.
    """

    keys: tuple[str, ...] = ()
    max_age_s: int = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings(HealthRules):
    """Table ``[health]``: how nodes are asked how they are, and what is made of it.

    Attributes:
        path: What is asked for.
        interval_s: Time between two probes of a node.
        timeout_s: How long an answer may take.
    """

    path: str = "/readyz"
    interval_s: float = 1.0
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSettings:
    """How a balancer runs. Paths of files are absolute.

    Attributes:
        file: Where they were read.
        cluster: Name in the certificates and in the cookie.
        listen: Where browsers connect, with TLS.
        proxied_listen: Where a proxy in front connects that says whom it speaks for (PROXY
            protocol, then TLS).
        proxied_from: Networks of such proxies.
        redirect: Where plain HTTP is answered, with a redirect for pages.
        https_port: To which port that leads; 0 is the port of the first one in ``listen``.
        workers: Processes that relay; 0 is one for each processor.
        management: Unix socket for health, metrics and drain.
        access_log: File to append to; ``-`` is standard output, empty is none.
        policy: How a node is chosen.
        slow_start_s: How long a node that came back gets less than its share.
        hsts_s: ``max-age`` of Strict-Transport-Security; 0 is none.
        retry_after_s: When clients shall come again that found no node.
        drain_s: How long connections may last once the balancer, or a worker, is to end.
        certificate: Certificates for browsers.
        nodes: Table ``[nodes]``.
        affinity: Table ``[affinity]``.
        health: Table ``[health]``.
        limits: Table ``[limits]``, of one worker.
        cookie_keys: What stands in the files of ``affinity.keys``, 32 bytes each.
        denied: What stands in the file ``nodes.tls.denied``.
        certificate_ends: Name of the setting -> when its certificate ends, seconds since 1970.
    """

    file: str
    cluster: str
    listen: tuple[Address, ...] = ()
    proxied_listen: tuple[Address, ...] = ()
    proxied_from: tuple[str, ...] = ()
    redirect: tuple[Address, ...] = ()
    https_port: int = 0
    workers: int = 0
    management: str = "/run/bolide-balancer/management.sock"
    access_log: str = ""
    policy: Policy = "two-choices"
    slow_start_s: float = 30.0
    hsts_s: int = 31_536_000
    retry_after_s: int = 2
    drain_s: float = 30.0
    certificate: tuple[ServerCertificate, ...] = ()
    nodes: NodesSettings = NodesSettings()
    affinity: AffinitySettings = AffinitySettings()
    health: HealthSettings = HealthSettings()
    limits: Limits = field(default_factory=Limits)
    cookie_keys: tuple[bytes, ...] = field(default=(), repr=False)
    denied: frozenset[str] = frozenset()
    certificate_ends: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)

"""What the supervisor and a worker tell each other: one JSON object a line, over a socket pair.

The supervisor tells a worker how to work (:class:`Configure`), what it decides by (:class:`View`)
and when to end (:class:`Retire`). A worker answers each configuration and each view, and tells once
a second what it counted and at once what it noticed of a node.
"""

from typing import Final, Literal, TypeAlias

import msgspec

__all__ = [
    "MAX_LINE_BYTES",
    "Configure",
    "Configured",
    "Counted",
    "FromSupervisor",
    "FromWorker",
    "Limits",
    "ListenerKind",
    "Node",
    "NodeState",
    "NodeTLS",
    "Noticed",
    "Retire",
    "Seen",
    "ServerCertificate",
    "View",
]

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest message, bytes."""

NodeState: TypeAlias = Literal["up", "probation", "draining", "down"]
"""``probation``: it was ejected and may be given one connection at a time."""

ListenerKind: TypeAlias = Literal["tls", "proxied", "redirect"]
"""``proxied``: TLS after a PROXY protocol header; ``redirect``: plain HTTP, for pages only."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What peers may make a worker hold, and for how long. All of one worker.

    Attributes:
        max_connections: Client connections at the same time.
        max_connections_per_address: The same of one address; 0 is no limit.
        max_handshakes: TLS handshakes with clients at the same time; others wait to be accepted.
        handshake_timeout_s: For a client's handshake, PROXY header included.
        head_timeout_s: For a request head, from the handshake or its first byte.
        idle_timeout_s: Between two requests of a connection.
        body_timeout_s: Silence within a body, of either side, that is not ours to end.
        connect_timeout_s: For a connection to a node, its handshake included.
        answer_timeout_s: From a complete request to the head of its response.
        tunnel_timeout_s: Silence of both sides of a WebSocket.
        flush_timeout_s: How long a peer may take nothing of what waits for it.
        max_head_bytes: Of a request or a response.
        max_fields: Of a head, or of trailers.
        max_tls_read_ms: How long one connection may keep a worker reading nothing but TLS.
        queue_timeout_s: How long a request waits for a node that has room.
        max_queue: How many wait.
    """

    max_connections: int = 20_000
    max_connections_per_address: int = 0
    max_handshakes: int = 256
    handshake_timeout_s: float = 10
    head_timeout_s: float = 10
    idle_timeout_s: float = 60
    body_timeout_s: float = 60
    connect_timeout_s: float = 5
    answer_timeout_s: float = 60
    tunnel_timeout_s: float = 3600
    flush_timeout_s: float = 30
    max_head_bytes: int = 16_384
    max_fields: int = 100
    max_tls_read_ms: int = 250
    queue_timeout_s: float = 5
    max_queue: int = 1_000


class ServerCertificate(msgspec.Struct, frozen=True):
    """One certificate of the balancer for browsers.

    Attributes:
        chain: PEM file, the certificate first.
        key: PEM file.
    """

    chain: str
    key: str


class NodeTLS(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are reached.

    Attributes:
        verify: ``role``: a certificate of the cluster's CA with the role and the name of the node;
            ``name``: a certificate for the node's host name; ``off``: plain TCP, on loopback only.
        ca: PEM file with the authorities that are believed.
        chain: PEM file with our own certificate; empty for none.
        key: PEM file with its key.
        denied: SHA-256 fingerprints of certificates that are refused, lower-case hexadecimal.
    """

    verify: Literal["role", "name", "off"] = "role"
    ca: str = ""
    chain: str = ""
    key: str = ""
    denied: frozenset[str] = frozenset()


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="configure"):
    """How to work from now on; connections that are open go on as they are.

    Attributes:
        version: Higher each time.
        cluster: Name in the certificates and in the cookie.
        listeners: Number of an inherited listening socket -> kind. The same in each message.
        trusted_senders: Networks that may send PROXY headers, such as ``10.0.0.0/8``.
        certificates: For browsers; the first one is for those that name no host.
        nodes: How nodes are reached.
        limits: Of this worker.
        policy: How a node is chosen.
        slow_start_s: How long a node that came back gets less than its share.
        access_log: File to append to; ``-`` is standard output, empty is none.
        hsts_s: ``max-age`` of Strict-Transport-Security; 0 is none.
        cookie_max_age_s: How long the affinity cookie holds.
        retry_after_s: What clients are told when there is no node.
        https_port: To which plain HTTP is redirected.
    """

    version: int
    cluster: str
    listeners: dict[int, ListenerKind]
    trusted_senders: tuple[str, ...] = ()
    certificates: tuple[ServerCertificate, ...]
    nodes: NodeTLS
    limits: Limits = Limits()
    policy: Literal["two-choices", "round-robin"] = "two-choices"
    slow_start_s: float = 30
    access_log: str = ""
    hsts_s: int = 31_536_000
    cookie_max_age_s: int = 86_400
    retry_after_s: int = 2
    https_port: int = 443


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the supervisor sees it.

    Attributes:
        name: In its certificate and in the cookie.
        host: IP address, or a name that the supervisor looked up already.
        port: Number.
        server_name: What TLS asks it for; the host name with ``verify = "name"``.
        weight: Share of new sessions beside other nodes; 0 gets none.
        state: Whether it may get new sessions.
        sessions: As it reported last.
        reported_at: When that was; seconds of the monotonic clock of the machine.
        up_since: When it came, or came back; seconds of the monotonic clock of the machine.
        max_connections: Of one worker; 0 is no limit.
    """

    name: str
    host: str
    port: int
    server_name: str = ""
    weight: float = 1.0
    state: NodeState = "up"
    sessions: int = 0
    reported_at: float = 0.0
    up_since: float = 0.0
    max_connections: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    """What a worker decides by.

    Attributes:
        version: Higher each time.
        nodes: All that are known.
        cookie_keys: Keys of the affinity cookie, 32 bytes each as hexadecimal; the first one
            seals, all open.
    """

    version: int
    nodes: tuple[Node, ...]
    cookie_keys: tuple[str, ...]


class Retire(msgspec.Struct, frozen=True, tag="retire"):
    """Accept nobody any more, and end with the last connection.

    Attributes:
        within_s: When all that are left are cut.
    """

    within_s: float


FromSupervisor: TypeAlias = Configure | View | Retire


class Configured(msgspec.Struct, frozen=True, tag="configured"):
    """Answer to a configuration.

    Attributes:
        version: Which one.
        problem: Why it is not used; empty if it is.
    """

    version: int
    problem: str = ""


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """Answer to a view: what begins from now on goes by it.

    Attributes:
        version: Which one.
    """

    version: int


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag="counted"):
    """What a worker counted since it began.

    Attributes:
        counts: Name of a metric and its labels, as ``name{label="value"}`` -> number.
        open_by_node: Name of a node -> connections to it now.
    """

    counts: dict[str, float]
    open_by_node: dict[str, int]


class Noticed(msgspec.Struct, frozen=True, tag="noticed"):
    """Something that a worker noticed of a node: for passive health.

    Attributes:
        node: Its name.
        what: ``answered``, or why no answer came.
    """

    node: str
    what: Literal["answered", "refused", "timeout", "handshake", "untrusted", "broken"]


FromWorker: TypeAlias = Configured | Seen | Counted | Noticed

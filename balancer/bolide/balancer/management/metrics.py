"""The metrics of a balancer: what its workers counted, together, and what its supervisor knows.

Labels hold names of nodes and words of our own; nothing that a peer made up.
"""

from typing import Final, get_args

from bolide.balancer.management.exposition import Family, expose, series
from bolide.balancer.supervisor.supervisor import Supervisor
from bolide.balancer.worker.messages import NodeState

__all__ = ["FAMILIES", "PREFIX", "metrics_page"]

PREFIX: Final = "bolide_balancer_"

FAMILIES: Final = (
    # Of workers
    Family("connections_open", "gauge", "Connections of clients."),
    Family("connections_total", "counter", "Connections of clients whose handshake was done."),
    Family("handshakes_total", "counter", "TLS handshakes with clients, by outcome."),
    Family("responses_total", "counter", "Responses to clients, by class of status."),
    Family("refusals_total", "counter", "Requests that were answered here, by reason."),
    Family("tunnels_open", "gauge", "WebSockets."),
    Family("tunnels_total", "counter", "WebSockets that were opened."),
    Family("tunnels_ended_total", "counter", "WebSockets that ended, by reason."),
    Family("queued", "gauge", "Requests that wait for a node that has room."),
    Family("node_outcomes_total", "counter", "Connections to nodes, by what became of them."),
    Family("unasked_total", "counter", "Times that a node sent something when nothing was asked."),
    Family("tls_cut_total", "counter", "Connections cut that kept a worker reading TLS."),
    Family("access_log_lost_total", "counter", "Lines of the access log that were lost."),
    # Of the supervisor
    Family("workers", "gauge", "Workers that work as told."),
    Family("worker_restarts_total", "counter", "Workers that ended and were replaced."),
    Family("node_state", "gauge", "1 for the state that a node is in, 0 for others."),
    Family("node_sessions", "gauge", "Sessions of a node, as it reported last."),
    Family("node_connections", "gauge", "Connections to a node."),
    Family("node_probe_failures_total", "counter", "Probes of a node that failed."),
    Family("node_probe_seconds", "gauge", "How long the last probe of a node took."),
    Family(
        "certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate in use ends, seconds since 1970.",
    ),
    Family("members_lost", "gauge", "Sources of members that cannot be asked."),
    Family("views_total", "counter", "Views of the nodes that workers were told."),
    Family("reloads_total", "counter", "Times that the settings were read again, by outcome."),
)


def metrics_page(supervisor: Supervisor) -> str:
    """Return the page that Prometheus reads."""
    numbers = supervisor.pool.counts()
    numbers["workers"] = supervisor.pool.ready_count
    numbers["worker_restarts_total"] = supervisor.pool.restarts
    numbers["members_lost"] = len(supervisor.lost_sources)
    numbers["views_total"] = supervisor.views
    for setting, end in supervisor.settings.certificate_ends.items():
        numbers[series("certificate_expiry_timestamp_seconds", setting=setting)] = end
    for outcome, count in supervisor.reloads.items():
        numbers[series("reloads_total", outcome=outcome)] = count
    for row in supervisor.rows():
        for state in get_args(NodeState):
            is_so = float(row.state == state)
            numbers[series("node_state", node=row.name, state=state)] = is_so
        if row.sessions is not None:
            numbers[series("node_sessions", node=row.name)] = row.sessions
        numbers[series("node_connections", node=row.name)] = row.connections
        numbers[series("node_probe_failures_total", node=row.name)] = row.probe_failures
        if row.probe_s is not None:
            numbers[series("node_probe_seconds", node=row.name)] = row.probe_s
    return expose(PREFIX, FAMILIES, numbers)

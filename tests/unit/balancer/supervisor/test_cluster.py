"""What the supervisor knows of all nodes, and what it tells workers."""

import pytest

from bolide.balancer.health.health import HealthRules, Probe
from bolide.balancer.members.address import parse_address
from bolide.balancer.members.member import Member
from bolide.balancer.supervisor.cluster import Cluster
from bolide.balancer.supervisor.probing import Report
from bolide.balancer.worker.messages import Node, Noticed

RULES = HealthRules(rise=1, fall=1, eject_after=1)


def make_member(
    name: str,
    address: str = "10.0.0.1:3000",
    *,
    management: str = "",
    max_connections: int = 0,
    server_name: str = "",
) -> Member:
    return Member(
        name=name,
        address=parse_address(address),
        management=parse_address(management) if management else None,
        max_connections=max_connections,
        server_name=server_name,
    )


def make_cluster(*members: Member, verify: str = "role") -> Cluster:
    cluster = Cluster(RULES, verify)
    cluster.take(members)
    return cluster


def report(
    cluster: Cluster, name: str, probe: Probe, now: float = 1.0, sessions: int | None = None
) -> None:
    cluster.report(Report(name, probe, sessions, "" if probe != "failed" else "timeout"), now)


def nodes(cluster: Cluster, now: float = 5.0, workers: int = 2, **open_by_node: int) -> list[Node]:
    return list(cluster.nodes(open_by_node, workers, now))


def test_a_member_is_down_until_it_answers() -> None:
    cluster = make_cluster(make_member("a"))
    (node,) = nodes(cluster)
    assert (node.name, node.host, node.port, node.state) == ("a", "10.0.0.1", 3000, "down")
    assert not cluster.has_room
    report(cluster, "a", "ready", now=3, sessions=17)
    (node,) = nodes(cluster)
    assert (node.state, node.sessions, node.reported_at, node.up_since) == ("up", 17, 3, 3)
    assert cluster.has_room


def test_one_that_does_not_tell_its_sessions_has_those_that_we_have() -> None:
    cluster = make_cluster(make_member("a"))
    report(cluster, "a", "ready")
    (node,) = nodes(cluster, now=9, a=4)
    assert (node.sessions, node.reported_at) == (4, 9)


@pytest.mark.parametrize(
    ("most", "workers", "each"), [(0, 2, 0), (100, 2, 50), (100, 3, 33), (1, 4, 1)]
)
def test_workers_share_the_limit_of_a_node(most: int, workers: int, each: int) -> None:
    cluster = make_cluster(make_member("a", max_connections=most))
    (node,) = nodes(cluster, workers=workers)
    assert node.max_connections == each


def test_a_node_is_asked_for_the_name_that_it_must_prove() -> None:
    members = (make_member("a"), make_member("b", server_name="b.example.org"))
    assert [node.server_name for node in nodes(make_cluster(*members))] == ["", "b.example.org"]
    by_name = make_cluster(*members, verify="name")
    assert [node.server_name for node in nodes(by_name)] == ["10.0.0.1", "b.example.org"]


def test_without_tls_no_node_off_loopback_is_reached(caplog: pytest.LogCaptureFixture) -> None:
    cluster = make_cluster(
        make_member("a", "127.0.0.1:1"),
        make_member("b", "10.0.0.1:1"),
        make_member("c", "127.0.0.1:1", management="10.0.0.1:2"),
        verify="off",
    )
    assert [node.name for node in nodes(cluster)] == ["a"]
    assert "2 nodes are left out" in caplog.text


def test_what_workers_notice_counts() -> None:
    cluster = make_cluster(make_member("a"), make_member("b"))
    report(cluster, "a", "ready")
    report(cluster, "b", "ready")
    cluster.noticed(Noticed("a", "refused"), 2.0)
    assert [node.state for node in nodes(cluster)] == ["down", "up"]
    assert [row.is_ejected for row in cluster.rows({})] == [True, False]


def test_the_operator_can_hold_a_node_and_let_it_go() -> None:
    cluster = make_cluster(make_member("a"))
    report(cluster, "a", "ready")
    assert cluster.hold("a") is not None
    assert nodes(cluster)[0].state == "draining"
    report(cluster, "a", "failed")
    report(cluster, "a", "ready")
    assert nodes(cluster)[0].state == "draining"  # nobody but us told it
    assert cluster.release("a", 4.0) is not None
    assert nodes(cluster)[0].state == "up"
    assert cluster.hold("x") is None
    assert cluster.release("x", 4.0) is None


def test_a_node_that_was_told_is_held_until_it_was_started_again() -> None:
    cluster = make_cluster(make_member("a"))
    report(cluster, "a", "ready")
    cluster.hold("a", until_it_says_so=True)
    report(cluster, "a", "ready")
    assert nodes(cluster)[0].state == "draining"
    report(cluster, "a", "draining")
    report(cluster, "a", "failed")
    report(cluster, "a", "ready")
    assert nodes(cluster)[0].state == "up"


def test_people_see_why_a_node_is_not_up() -> None:
    cluster = make_cluster(make_member("a"), make_member("b"))
    report(cluster, "a", "failed")
    a, b = cluster.rows({"b": 3})
    assert (a.name, a.state, a.why, a.sessions) == ("a", "down", "timeout", None)
    assert (b.connections, b.why, b.address) == (3, "", "10.0.0.1:3000")
    assert cluster.probe_failures == {"a": 1}


def test_a_member_that_left_is_forgotten() -> None:
    cluster = make_cluster(make_member("a"), make_member("b"))
    report(cluster, "a", "failed")
    nodes(cluster)
    cluster.take([make_member("b")])
    report(cluster, "a", "ready")
    assert [node.name for node in nodes(cluster)] == ["b"]
    assert cluster.probe_failures == {}
    cluster.take([make_member("a"), make_member("b")])
    assert cluster.rows({})[0].why == ""


def test_other_rules_hold_from_then_on() -> None:
    cluster = make_cluster(make_member("a", "127.0.0.1:1"))
    cluster.use(HealthRules(fall=3), "off")
    report(cluster, "a", "ready")
    report(cluster, "a", "failed")
    assert nodes(cluster)[0].state == "up"


def test_of_a_node_nothing_is_told_before_its_first_probe(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bolide.balancer")
    cluster = make_cluster(make_member("a"), make_member("b"))
    nodes(cluster)
    assert not caplog.messages
    report(cluster, "a", "ready")
    report(cluster, "b", "failed")
    nodes(cluster)
    assert caplog.messages == ["node a: up", "node b: down"]


def test_the_last_node_is_the_one_beside_which_no_other_gets_sessions() -> None:
    keeps_only = Member(name="c", address=parse_address("10.0.0.1:3000"), weight=0.0)
    cluster = make_cluster(make_member("a"), make_member("b"), keeps_only)
    for name in ("a", "b", "c"):
        assert not cluster.is_last(name)
        report(cluster, name, "ready")
    assert not cluster.is_last("a")
    cluster.hold("b")
    assert cluster.is_last("a")
    assert not cluster.is_last("b")
    assert not cluster.is_last("x")


def test_a_node_that_was_away_too_shortly_to_be_down_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bolide.balancer")
    cluster = make_cluster(make_member("a"))
    for run in ("1", "1", "", "2", "2"):
        cluster.report(Report("a", "ready", 0, "", run=run), 1.0)
        nodes(cluster)
    assert caplog.messages == ["node a: up", "node a: was started again"]
    cluster.take([])
    cluster.take([make_member("a")])
    cluster.report(Report("a", "ready", 0, "", run="3"), 2.0)
    assert caplog.messages[2:] == ["node a: gone"]

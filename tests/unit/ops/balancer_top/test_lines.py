"""The lines of a balancer, for people."""

from io import StringIO

from rich.console import Console
from tests.unit.ops.balancer_top.overviews import make_node, make_overview, make_worker

from bolide.balancer.management.overview import BalancerOverview
from bolide.ops.balancer_top.lines import balancer_line, certificate_line, node_lines
from bolide.ops.balancer_top.rates import compare
from bolide.ops.balancer_top.view import BalancerView, plain_lines

DAY = 86_400.0


def lines(overview: BalancerOverview, before: BalancerOverview | None = None) -> list[str]:
    return list(plain_lines(compare(before, overview)))


def test_all_is_told() -> None:
    before = make_overview(counts={"connections_total": 0.0}, at=3.0)
    overview = make_overview(
        make_node("north"),
        make_node("south", "draining", is_held=True, sessions=None),
        workers=(make_worker(), make_worker(4244, is_ready=False)),
        certificates={"certificate[1]": 61 * DAY, "nodes.tls": 8 * DAY},
        worker_restarts=1,
        counts={
            "connections_open": 812,
            "connections_total": 6,
            "tunnels_open": 790,
            "queued": 2,
            'responses_total{class="2xx"}': 40_200,
            'responses_total{class="4xx"}': 31,
            'handshakes_total{outcome="done"}': 9120,
            'refusals_total{why="no-node"}': 2,
            'tunnels_ended_total{why="client"}': 8330,
            'node_outcomes_total{node="south",outcome="refused"}': 3,
            'node_outcomes_total{node="south",outcome="answered"}': 900,
        },
    )
    assert lines(overview, before) == [
        "● ready  ward  up 3 h 12 min  pid 4242  Bolide 0.1.0",
        "● certificates  nodes.tls ends in 8 d  certificate[1] ends in 61 d",
        "connections 812, 3.0/s  WebSockets 790, 0/s  2 wait for a node",
        "responses 2xx 40.2k (20.1k/s), 4xx 31 (15.5/s)  handshakes done 9120 (4560/s)",
        "refused no-node 2 (1.0/s)",
        "WebSockets ended client 8330 (4165/s)",
        "connections to nodes that failed south refused 3",
        "Nodes  2  1 draining, 12 sessions",
        "node   address         state            sessions  conns  weight   probe  failed  why",
        "north  10.0.0.11:3000  up                     12     13       1  2.1 ms       0",
        "south  10.0.0.11:3000  draining, asked         -     13       1  2.1 ms       0",
        "Workers  2  1 ended and replaced",
        "worker  state    conns  WebSockets  accepted",
        "  4243  works      401         393     12.3k",
        "  4244  not yet    401         393     12.3k",
    ]


def test_a_balancer_that_has_done_nothing_says_so() -> None:
    assert lines(make_overview(is_ready=False)) == [
        "● takes nobody to a node  ward  up 3 h 12 min  pid 4242  Bolide 0.1.0",
        "● certificates  none",
        "connections 0, -/s  WebSockets 0, -/s",
        "responses none  handshakes none",
        "Nodes  0  ",
        "node  address  state  sessions  conns  weight  probe  failed  why",
        "Workers  0  ",
        "worker  state  conns  WebSockets  accepted",
    ]


def test_trouble_has_a_colour() -> None:
    overview = make_overview(
        certificates={"nodes.tls": -1.0, "certificate[1]": DAY},
        lost_sources=("nodes.registry",),
        is_retiring=True,
    )
    rates = compare(None, overview)
    told = {str(span.style) for span in balancer_line(rates).spans}
    assert told >= {"yellow", "red"}
    text = certificate_line(rates)
    assert text.plain == "● certificates  nodes.tls has ended  certificate[1] ends in 1 d"
    assert [str(span.style) for span in text.spans] == ["red", "yellow"]
    down = make_node("east", "down", why="ConnectionRefusedError")
    _, first = node_lines([down])
    assert str(first.style) == "red"
    assert first.plain.endswith("ConnectionRefusedError")


def test_names_command_no_terminal() -> None:
    _, told = node_lines([make_node("a", "down", why="\x1b[2J")])
    assert "\x1b" not in told.plain


def test_nodes_that_are_not_well_are_seen_on_a_small_terminal() -> None:
    console = Console(file=StringIO(), width=100, height=12, force_terminal=True)
    view = BalancerView(console, "/run/management.sock", 2.0)
    nodes = [make_node(f"n{number}") for number in range(20)]
    nodes.append(make_node("ill", "down", why="TimeoutError"))
    view.show(compare(None, make_overview(*nodes, workers=(make_worker(),))))
    with console.capture() as drawn:
        console.print(view.picture())
    assert "ill" in drawn.get()
    assert "not shown" in drawn.get()
    view.fail("No balancer answers")
    with console.capture() as drawn:
        console.print(view.picture())
    assert "Old: No balancer answers" in drawn.get()

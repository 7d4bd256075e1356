"""Prometheus' text format."""

from bolide.balancer.management.exposition import Family, expose, series

FAMILIES = (
    Family("served_total", "counter", "What was served."),
    Family("open", "gauge", "What is open."),
)


def test_each_family_has_its_series_below_what_it_means() -> None:
    numbers = {"open": 2.5, 'served_total{class="2xx"}': 7.0, 'served_total{class="5xx"}': 1e16}
    assert expose("b_", FAMILIES, numbers) == (
        "# HELP b_served_total What was served.\n"
        "# TYPE b_served_total counter\n"
        'b_served_total{class="2xx"} 7\n'
        'b_served_total{class="5xx"} 10000000000000000\n'
        "# HELP b_open What is open.\n"
        "# TYPE b_open gauge\n"
        "b_open 2.5\n"
    )


def test_what_is_of_no_family_is_left_out() -> None:
    assert "odd" not in expose("b_", FAMILIES, {"odd": 1})


def test_values_of_labels_are_escaped() -> None:
    assert series("name") == "name"
    assert series("name", node='a"b\\c\nd', state="up") == (
        'name{node="a\\"b\\\\c\\nd",state="up"}'
    )

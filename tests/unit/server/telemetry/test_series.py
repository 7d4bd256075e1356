"""Our series, beside those of prometheus_client."""

from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Metric

from bolide.server.telemetry.series import Count, Histogram


def samples(metrics: Iterable[Metric]) -> list[tuple[str, dict[str, str], float]]:
    """Return all samples but the times of creation, whose values are set to 0."""
    return [
        (one.name, one.labels, 0.0 if one.name.endswith("_created") else one.value)
        for metric in metrics
        for one in metric.samples
    ]


def test_a_count_gives_the_samples_of_a_counter() -> None:
    theirs = prometheus_client.Counter("seen", "What was seen.", registry=None)
    ours = Count("seen", "What was seen.")
    for amount in (1, 4):
        theirs.inc(amount)
        ours.inc(amount)
    assert samples(ours.collect()) == samples(theirs.collect())


def test_a_histogram_gives_the_samples_of_theirs() -> None:
    theirs = prometheus_client.Histogram(
        "run_seconds", "Time.", ["name", "outcome"], buckets=Histogram.BOUNDS_S, registry=None
    )
    ours = Histogram("run_seconds", "Time.", ("name", "outcome"))
    for name, outcome in (("a", "ok"), ("b", "error"), ("a", "ok")):
        for seconds in (0.0, 0.001, 0.0011, 0.2, 10.0, 11.5):
            theirs.labels(name, outcome).observe(seconds)
            ours.labels(name, outcome).observe(seconds)
    assert samples(ours.collect()) == samples(theirs.collect())


def test_a_histogram_without_labels_begins_with_zeros() -> None:
    theirs = prometheus_client.Histogram(
        "wait_seconds", "Time.", buckets=Histogram.BOUNDS_S, registry=None
    )
    ours = Histogram("wait_seconds", "Time.")
    assert samples(ours.collect()) == samples(theirs.collect())


def test_the_text_for_prometheus_is_theirs() -> None:
    registry, other = CollectorRegistry(), CollectorRegistry()
    registry.register(Count("seen", "What was seen."))
    prometheus_client.Counter("seen", "What was seen.", registry=other)

    def lines(of: CollectorRegistry) -> list[str]:
        text = prometheus_client.generate_latest(of).decode()
        return [line for line in text.splitlines() if not line.startswith("seen_created")]

    assert lines(registry) == lines(other)

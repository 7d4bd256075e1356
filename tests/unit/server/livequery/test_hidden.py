"""Documents that cannot be sent: they are no part of a view, and somebody is told."""

from typing import Any

import pytest
from bson import ObjectId, Timestamp
from structlog.testing import capture_logs
from tests.unit.server.livequery.test_result import deleted, put, result_of, told

from bolide.server.livequery.hidden import MAX_TOLD, HiddenDocument, tell_of
from bolide.server.telemetry.metrics import Metrics

WHEN = Timestamp(1, 1)


@pytest.mark.parametrize("options", [{}, {"sort": (("n", 1),), "limit": 3}])
def test_one_that_cannot_be_sent_is_left_out_until_it_can(options: dict[str, Any]) -> None:
    result = result_of(**options)
    result.load([{"_id": "a", "n": 1}, {"_id": "b", "n": 2, "at": WHEN}])
    assert told(result) == ["+a"]
    assert result.hidden.take_news() == [HiddenDocument("b", "at", "Timestamp")]
    assert len(result.hidden) == 1
    result.take(put("b", {"_id": "b"}, n=2, at=WHEN, more=1))
    assert told(result) == []
    assert not result.hidden.take_news()  # it is known
    result.take(put("b", {"_id": "b"}, n=2))
    assert told(result) == ["+b"]
    assert not result.hidden
    result.take(put("b", {"_id": "b"}, n=2, at=[WHEN]))
    assert told(result) == ["-b"]
    assert result.hidden.take_news() == [HiddenDocument("b", "at.0", "Timestamp")]
    result.take(deleted("b", {"_id": "b"}))
    assert told(result) == []
    assert not result.hidden


def test_what_a_projection_leaves_out_hides_nothing() -> None:
    result = result_of(projection={"n": 1})
    result.load([{"_id": "b", "n": 2, "at": WHEN}])
    assert told(result) == ["+b"]


def test_an_id_that_cannot_be_sent() -> None:
    result = result_of()
    result.load([{"_id": {"at": WHEN}, "n": 1}, {"_id": ObjectId(), "n": 1}])
    assert len(told(result)) == 1
    assert result.hidden.take_news() == [HiddenDocument({"at": WHEN}, "_id.at", "Timestamp")]


def test_the_log_names_some_and_counts_the_rest() -> None:
    metrics = Metrics()
    news = [HiddenDocument(f"p{number}", "seen.1", "Timestamp") for number in range(MAX_TOLD + 5)]
    news[0] = HiddenDocument(WHEN, "_id", "Timestamp")
    with capture_logs() as logs:
        tell_of(news, "patients", metrics)
        tell_of(news[:1], "patients", metrics)
    assert len(logs) == MAX_TOLD + 2
    assert logs[0]["document"] == "a Timestamp"
    assert logs[1]["document"] == "p1"
    assert logs[1]["field"] == "seen.?"
    assert logs[MAX_TOLD]["documents"] == 5
    text = metrics.exposition().decode()
    assert f'bolide_documents_hidden_total{{collection="patients"}} {MAX_TOLD + 6}.0' in text

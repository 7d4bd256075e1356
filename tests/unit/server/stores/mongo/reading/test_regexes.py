from typing import Any

import pytest

from bolide.core.values import Regex
from bolide.server.stores.mongo.reading.regexes import with_portable_regexes

END = r"(?![\s\S])"
OLD, NEW = Regex("a$"), Regex(f"a{END}")


@pytest.mark.parametrize(
    ("selector", "rewritten"),
    [
        ({"t": OLD}, {"t": NEW}),
        ({"t": Regex("a$", "gi")}, {"t": Regex(f"a{END}", "i")}),
        ({"t": {"$regex": "a$"}}, {"t": {"$regex": NEW}}),
        ({"t": {"$regex": OLD}}, {"t": {"$regex": NEW}}),
        ({"t": {"$regex": "a$", "$options": "i"}}, {"t": {"$regex": Regex(f"a{END}", "i")}}),
        ({"t": {"$regex": Regex("a$", "i"), "$options": ""}}, {"t": {"$regex": NEW}}),
        ({"t": {"$in": [OLD, "b"]}}, {"t": {"$in": [NEW, "b"]}}),
        ({"t": {"$not": OLD}}, {"t": {"$not": NEW}}),
        ({"t": {"$not": {"$regex": "a$"}}}, {"t": {"$not": {"$regex": NEW}}}),
        ({"t": {"$elemMatch": {"u": OLD}}}, {"t": {"$elemMatch": {"u": NEW}}}),
        ({"t": {"$elemMatch": {"$nin": [OLD]}}}, {"t": {"$elemMatch": {"$nin": [NEW]}}}),
        (
            {"t": {"$elemMatch": {"$or": [{"u": OLD}]}}},
            {"t": {"$elemMatch": {"$or": [{"u": NEW}]}}},
        ),
        ({"$or": [{"t": OLD}, {"u": 1}]}, {"$or": [{"t": NEW}, {"u": 1}]}),
    ],
)
def test_patterns_are_written_for_the_server(
    selector: dict[str, Any], rewritten: dict[str, Any]
) -> None:
    assert with_portable_regexes(selector) == rewritten


@pytest.mark.parametrize(
    "selector",
    [
        {"t": Regex("^ab", "i")},
        {"t": {"$eq": OLD}, "u": {"v": OLD}},
        {"t": Regex(r"\p{L}$")},
        {"t": {"$regex": 5}},
        {"t": {"$regex": "a", "$options": 5}},
        {"$or": 5},
        {"$nor": [5]},
        {"$comment": "a$"},
        {"t": {"$in": 5}},
        {"t": {"$not": 5}},
        {"t": {}},
    ],
)
def test_values_and_what_is_not_understood_are_left_alone(selector: dict[str, Any]) -> None:
    assert with_portable_regexes(selector) == selector

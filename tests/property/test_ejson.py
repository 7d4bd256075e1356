"""EJSON and BSON: whatever a document may hold survives, whichever way it travels."""

import json
import math
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.core.bson_codec import from_bson, to_bson
from bolide.core.ejson import canonical, from_json, parse, stringify, to_json
from bolide.core.values import (
    INVALID_DATE,
    DatetimeMS,
    Decimal128,
    Encrypted,
    ObjectId,
    Regex,
    date_from_millis,
    equals,
    normalize,
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NAMES = st.one_of(
    TEXTS,
    st.sampled_from(["$date", "$binary", "$InfNaN", "$regexp", "$flags", "$type", "$value"]),
    st.just("$escape"),
)
REGEXES = st.builds(Regex, TEXTS, st.sampled_from(["", "i", "m", "s", "x", "im", "imsx"]))
DATES = st.datetimes(timezones=st.just(UTC)).map(lambda date: normalize(date))
STORABLE_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    TEXTS,
    st.binary(max_size=8),
    st.binary(max_size=8).map(Encrypted),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.decimals(allow_nan=False, places=3, min_value=-(10**9), max_value=10**9).map(
        lambda number: Decimal128(str(number))
    ),
    DATES,
    # As far as JavaScript's calendar reaches.
    st.integers(-8_640_000_000_000_000, 8_640_000_000_000_000).map(date_from_millis),
    REGEXES,
)


def containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(items, max_size=4),
        st.dictionaries(NAMES, items, max_size=4),
        # What a reader could take for a value of another type.
        st.fixed_dictionaries({"$type": items, "$value": items}),
        st.fixed_dictionaries({"$regexp": items, "$flags": items}),
    )


STORABLE = st.recursive(STORABLE_SCALARS, containers, max_leaves=12)
VALUES = st.recursive(STORABLE_SCALARS | st.just(INVALID_DATE), containers, max_leaves=12)


def children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def has_padded_number(value: Any) -> bool:
    """Tell whether a float is written with zeros in the place of digits that JSON could hold."""
    if isinstance(value, float):
        return 2**53 < abs(value) < 2**63
    return any(has_padded_number(item) for item in children(value))


def shuffled(value: Any, source: random.Random) -> Any:
    items = [shuffled(item, source) for item in children(value)]
    if isinstance(value, dict):
        pairs = list(zip(cast("dict[str, Any]", value), items, strict=True))
        source.shuffle(pairs)
        return dict(pairs)
    return items if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_value_survives_as_plain_json(value: Any) -> None:
    tree = to_json(value)
    # Through a text, since the tree may share parts with the value.
    assert equals(from_json(json.loads(json.dumps(tree, allow_nan=False))), value, key_order=True)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_value_survives_as_text(value: Any) -> None:
    text = stringify(value)
    assert json.loads(text) == json.loads(stringify(value, indent=2))
    if not has_padded_number(value):
        assert equals(parse(text), value, key_order=True)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_canonical_text_does_not_depend_on_the_order_of_keys(
    value: Any, source: random.Random
) -> None:
    assert canonical(shuffled(value, source)) == canonical(value)


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_equal_canonical_text_means_equal_values(a: Any, b: Any) -> None:
    assert equals(a, a)
    if canonical(a) == canonical(b):
        assert equals(a, b)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_writing_changes_nothing(value: Any) -> None:
    before = repr(value)
    to_json(value)
    to_json(value, bolide=False)
    assert repr(value) == before


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXTS, STORABLE, max_size=4))
def test_document_survives_as_bson(document: dict[str, Any]) -> None:
    read = from_bson(to_bson(document))
    # As every driver of MongoDB does, it puts the id first.
    id_first = {name: document[name] for name in sorted(document, key=lambda name: name != "_id")}
    assert equals(read, id_first, key_order=True)
    assert to_bson(read) == to_bson(document)


@settings(max_examples=200, deadline=None)
@given(STORABLE)
def test_normalizing_a_value_gives_an_equal_one_and_nothing_shared(value: Any) -> None:
    made = normalize(value)
    assert equals(made, value, key_order=True)
    assert not isinstance(value, (list, dict)) or made is not value
    assert equals(normalize(made), made, key_order=True)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_canonical_number_gives_the_number_back(number: float) -> None:
    assert float(canonical(number)) == number
    assert math.isfinite(json.loads(canonical(number)))


@settings(deadline=None)
@given(st.datetimes())
def test_dates_keep_their_milliseconds(moment: datetime) -> None:
    made = normalize(moment)
    assert made.tzinfo is UTC
    lost = moment.replace(tzinfo=UTC) - made
    assert 0 <= lost.total_seconds() < 0.001
    assert not isinstance(made, DatetimeMS)

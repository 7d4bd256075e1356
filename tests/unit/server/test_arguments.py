"""Arguments: strict about types, silent about what was sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from bson import Decimal128, Int64, ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Tag
from typing_extensions import TypedDict

from bolide.core.errors import MethodError
from bolide.core.values import Encrypted, Regex
from bolide.server.arguments import (
    MAX_SELECTOR_CONDITIONS,
    EJSONValue,
    Handler,
    Modifier,
    Pattern,
    Selector,
    location_of,
    read_arguments,
)

SECRET = "Aunt Emmy, HIV+"


@dataclass
class Bed:
    number: int
    id: ObjectId | None = None


class Shift(Enum):
    DAY = "day"
    NIGHT = "night"


class Readings(TypedDict):
    pulse: int


class Search(BaseModel):
    type: int
    filter: Selector
    other: dict[str, Any] = {}


class Lax(BaseModel):
    model_config = ConfigDict(strict=False)
    number: int


class Tree(BaseModel):
    children: "list[Tree]" = []


class Dog(BaseModel):
    kind: Literal["dog"]
    age: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


def bind(annotation: Any, value: Any) -> Any:
    async def handler(ctx: object, a: Any) -> None: ...

    handler.__annotations__["a"] = annotation
    return read_arguments(handler, "method h").bind([value])[0]


def refusal(annotation: Any, value: Any) -> str:
    with pytest.raises(MethodError) as caught:
        bind(annotation, value)
    assert caught.value.error == 400
    assert caught.value.details is None
    assert caught.value.__cause__ is None
    return str(caught.value.reason)


WHEN = datetime(2026, 1, 2, tzinfo=UTC)
OID = ObjectId("6b09b04a0bcad06c28211112")


TAKEN: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (int, 5.0, 5),
    (int, Int64(2**60), 2**60),
    (int, -(2.0**63), -(2**63)),
    (float, 5, 5.0),
    (float, 0.5, 0.5),
    (str, "a", "a"),
    (bool, True, True),
    (bytes, b"a", b"a"),
    (datetime, WHEN, WHEN),
    (ObjectId, OID, OID),
    (Decimal128, Decimal128("1.0"), Decimal128("1.0")),
    (Encrypted, Encrypted(b"\1x"), Encrypted(b"\1x")),
    (str | None, None, None),
    (int | str, 2.0, 2),
    (Annotated[int, Tag("number")] | str, 2.0, 2),
    (list[int], [1, 2.0], [1, 2]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (set[int], [1, 1], {1}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (Shift, "night", Shift.NIGHT),
    (Literal["a", "b"], "b", "b"),
    (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678123456781234567812345678")),
    (Bed, {"number": 4.0, "id": OID}, Bed(4, OID)),
    (list[Bed], [{"number": 4}], [Bed(4)]),
    (Readings, {"pulse": 70}, {"pulse": 70}),
    (Tree, {"children": [{}]}, Tree(children=[Tree()])),
    (Annotated[Dog | Cat, Field(discriminator="kind")], {"kind": "cat", "lives": 9}, None),
    (EJSONValue, {"$gt": [Regex("a")]}, {"$gt": [Regex("a")]}),
    (Any, {"a": [1]}, {"a": [1]}),
    (Selector, {"$or": [{"b": 1}]}, {"$or": [{"b": 1}]}),
    (Modifier, {"$set": {"a": 1}}, {"$set": {"a": 1}}),
    (Pattern, Regex("a"), Regex("a")),
    (list[EJSONValue], [{"$gt": 1}], [{"$gt": 1}]),
    (dict[str, EJSONValue], {"a": {"$gt": 1}}, {"a": {"$gt": 1}}),
    (Selector | None, {"$or": [{"b": 1}]}, {"$or": [{"b": 1}]}),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), TAKEN)
def test_a_value_of_the_annotated_type_is_taken(annotation: Any, value: Any, expected: Any) -> None:
    bound = bind(annotation, value)
    assert bound == (Cat(kind="cat", lives=9) if expected is None and value else expected)


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (int, "5", 'Argument "a" is not valid: int type'),
        (int, True, 'Argument "a" is not valid: int type'),
        (int, 5.5, 'Argument "a" is not valid: int type'),
        (int, float("inf"), 'Argument "a" is not valid: int type'),
        (int, 2.0**63, 'Argument "a" is not valid: int type'),
        (int, -(2.0**64), 'Argument "a" is not valid: int type'),
        (float, "5", 'Argument "a" is not valid: float type'),
        (float, False, 'Argument "a" is not valid: float type'),
        (str, 5, 'Argument "a" is not valid: string type'),
        (str, None, 'Argument "a" is not valid: string type'),
        (bool, 1, 'Argument "a" is not valid: bool type'),
        (bytes, SECRET, 'Argument "a" is not valid: bytes type'),
        (datetime, SECRET, 'Argument "a" is not valid: datetime type'),
        (ObjectId, str(OID), 'Argument "a" is not valid: is instance of'),
        (Encrypted, b"plain", 'Argument "a" is not valid: is instance of'),
        (list[int], [1, SECRET], 'Argument "a.1" is not valid: int type'),
        (dict[str, int], {SECRET: SECRET}, 'Argument "a.*" is not valid: int type'),
        (tuple[int, str], [1], 'Argument "a.1" is not valid: missing'),
        (Shift, SECRET, 'Argument "a" is not valid: enum'),
        (Literal["a"], SECRET, 'Argument "a" is not valid: literal error'),
        (Bed, {"number": SECRET}, 'Argument "a.number" is not valid: int type'),
        (Readings, {"pulse": SECRET}, 'Argument "a.pulse" is not valid: int type'),
        (Lax, {"number": "5"}, 'Argument "a.number" is not valid: int type'),
        (Selector, SECRET, 'Argument "a" is not valid: is instance of'),
        (Pattern, SECRET, 'Argument "a" is not valid: is instance of'),
    ],
)
def test_another_value_is_refused_by_name_and_type_only(
    annotation: Any, value: Any, reason: str
) -> None:
    assert refusal(annotation, value) == reason


@pytest.mark.parametrize(
    ("annotation", "value", "place"),
    [
        (Any, {"$ne": None}, "a"),
        (Any, Regex(".*"), "a"),
        (Regex, Regex(".*"), "a"),
        (object, [{"x": {"$gt": ""}}], "a.0.*"),
        (dict[str, Any], {SECRET: {"$ne": SECRET}}, "a.*"),
        (dict[str, EJSONValue], {"$where": SECRET}, "a"),
        (list[Any], [Regex(SECRET)], "a.0"),
        (Search, {"type": 1, "filter": {"$or": [{"b": 1}]}, "other": {"$ne": 1}}, "a.other"),
    ],
)
def test_operators_and_patterns_need_a_type_that_says_so(
    annotation: Any, value: Any, place: str
) -> None:
    assert refusal(annotation, value).startswith(f'Argument "{place}" is not valid: ')


def test_a_model_may_hold_an_open_field_beside_closed_ones() -> None:
    value: dict[str, Any] = {"type": 1, "filter": {"$or": [{"b": 1}]}, "other": {"a": 1}}
    assert bind(Search, value) == Search(type=1, filter={"$or": [{"b": 1}]}, other={"a": 1})


async def every_kind(ctx: object, a: int, b: str = "b", *rest: int) -> None: ...


@pytest.mark.parametrize(
    ("params", "bound"),
    [([1], [1]), ([1, "x"], [1, "x"]), ([1, "x", 2, 3.0], [1, "x", 2, 3])],
)
def test_arguments_left_out_have_their_defaults(params: Sequence[Any], bound: list[Any]) -> None:
    arguments = read_arguments(every_kind, "method h")
    assert arguments.names == ("a", "b", "*rest")
    assert arguments.bind(params) == bound


def test_a_bad_variable_argument_is_named() -> None:
    with pytest.raises(MethodError, match='Argument "rest" is not valid: int type'):
        read_arguments(every_kind, "method h").bind([1, "x", 2, SECRET])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[str, str] | Pattern, {"$ne": "x"}),
        (Pattern | dict[str, str], {"$ne": "x"}),
        (list[dict[str, int]] | Selector, [{"$ne": 1}]),
        (dict[str, Pattern | dict[str, int]], {"a": {"$ne": 1}}),
    ],
)
def test_an_open_choice_of_a_union_opens_no_other(annotation: Any, value: Any) -> None:
    assert refusal(annotation, value).endswith("keys that begin with $ are not taken here")


def test_the_conditions_of_a_selector_are_limited() -> None:
    most: list[Any] = [{"a": number} for number in range(MAX_SELECTOR_CONDITIONS - 1)]
    assert bind(Selector, {"$or": most}) == {"$or": most}
    values: dict[str, Any] = {"a": {"$in": list(range(10_000))}}
    assert bind(Selector, values) == values
    assert refusal(Selector, {"$or": [*most, {"b": 1}]}) == (
        'Argument "a" is not valid: too many conditions'
    )


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ({"$where": SECRET}, "$where is not taken from clients"),
        (
            {"$expr": {"$function": {"body": SECRET, "args": [], "lang": "js"}}},
            "$expr is not taken from clients",
        ),
        ({"$or": [{"b": 1}, {"$text": {"$search": SECRET}}]}, "$text is not taken from clients"),
        ({"b": {"$elemMatch": {"$where": SECRET}}}, "$where is not taken from clients"),
        ({"a": SECRET, "b": {"$type": "array"}}, "$type is not taken from clients"),
        ({"a": SECRET, "b": {"$near": [0, 0]}}, "$near is not taken from clients"),
        ({"$or": []}, "not a supported selector"),
        ({"$function": {"body": SECRET}}, "not a supported selector"),
        ({"b": Regex("(?i)a")}, "not a supported selector"),
    ],
)
def test_a_client_asks_for_nothing_that_only_the_database_evaluates(
    selector: dict[str, Any], why: str
) -> None:
    assert refusal(Selector, selector) == f'Argument "a" is not valid: {why}'
    assert refusal(Search, {"type": 1, "filter": selector}) == (
        f'Argument "a.filter" is not valid: {why}'
    )


def test_a_pattern_is_one_that_is_searched_with_here() -> None:
    assert refusal(Pattern, Regex(r"\pL" + SECRET)) == (
        'Argument "a" is not valid: not a supported regular expression'
    )


def test_a_flood_of_errors_is_not_written_out() -> None:
    flood = {str(number): SECRET for number in range(1_001)}
    assert refusal(dict[str, int], flood) == (
        'Argument "a" is not valid: hardly anything in it is of the right type'
    )
    assert refusal(list[int], [SECRET] * 1_001) == 'Argument "a.0" is not valid: int type'


async def two_readings(ctx: Any, first: Readings, second: Readings, *rest: int) -> None:
    del ctx, first, second, rest


async def readings(ctx: Any, first: Readings, many: list[Readings], limit: int | None) -> None:
    del ctx, first, many, limit


READINGS: list[tuple[list[Any], Any]] = [
    ([{"pulse": 1}, [{"pulse": 2}], None], [{"pulse": 1}, [{"pulse": 2}], None]),
    ([{"pulse": 1.0}, [{"pulse": 2}], 3.0], [{"pulse": 1}, [{"pulse": 2}], 3]),
    ([{"$pulse": 1}, [{"pulse": "x"}], 1], '"first.pulse" is not valid: missing'),
    ([{"pulse": 1, "$x": 1}, [{"pulse": "x"}], 1], '"first" is not valid: keys that begin'),
    ([{"pulse": 1, "x": {"$x": 1}}, [], 1], '"first.[*]" is not valid: keys that begin'),
    ([{"pulse": 1, "x": [1, Regex("a")]}, [], 1], '"first.[*].1" is not valid: regular'),
    ([{"pulse": 1}, [{"pulse": 2}, {"pulse": 1, "$x": 1}], 1], '"many.1" is not valid: keys'),
    ([{"pulse": 1}, [{"pulse": True}], 1], '"many.0.pulse" is not valid: int type'),
    ([{"pulse": 1}, [], "1"], '"limit" is not valid: int type'),
    ([{"pulse": 1}, []], '"limit" is missing'),
    ([{"pulse": 1}, [], 1, 1], "4 is one too many: 3 are taken"),
]


@pytest.mark.parametrize(("params", "outcome"), READINGS)
def test_arguments_of_simple_types_are_checked_as_all_others(
    params: list[Any], outcome: list[Any] | str
) -> None:
    arguments = read_arguments(readings, "method readings")
    if isinstance(outcome, str):
        with pytest.raises(MethodError, match=outcome):
            arguments.bind(params)
    else:
        bound = arguments.bind(params)
        assert bound == outcome
        assert repr(bound) == repr(outcome)  # 1.0 is no 1


def test_two_arguments_may_be_of_one_class() -> None:
    arguments = read_arguments(two_readings, "method readings")
    assert arguments.bind([{"pulse": 1}, {"pulse": 2}, 3.0]) == [{"pulse": 1}, {"pulse": 2}, 3]
    with pytest.raises(MethodError, match=r"second\.pulse"):
        arguments.bind([{"pulse": 1}, {"pulse": "2"}])


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(MethodError, match='Argument "a" is missing') as caught:
        read_arguments(every_kind, "method h").bind([])
    assert caught.value.error == 400


def test_a_surplus_argument_is_counted() -> None:
    async def handler(ctx: object, a: int) -> None: ...

    with pytest.raises(MethodError, match="Argument 2 is one too many: 1 are taken") as caught:
        read_arguments(handler, "method h").bind([1, SECRET])
    assert caught.value.error == 400


def sync_handler(ctx: object) -> None: ...
async def no_context() -> None: ...
async def keyword_context(*, ctx: object) -> None: ...
async def untyped(ctx: object, ward) -> None: ...  # type: ignore[no-untyped-def] # pyright: ignore
async def keyword_only(ctx: object, *, ward: str) -> None: ...
async def keywords(ctx: object, **ward: str) -> None: ...
async def unknown_name(ctx: object, ward: "Nowhere") -> None: ...  # type: ignore[name-defined] # pyright: ignore # noqa: F821
async def no_type(ctx: object, ward: str) -> None: ...


no_type.__annotations__["ward"] = 5


class Signal(BaseModel):
    parts: list[complex] | None = None


async def no_ejson(ctx: object, ward: complex) -> None: ...
async def no_ejson_inside(ctx: object, *ward: dict[str, Signal]) -> None: ...
async def function(ctx: object, ward: Callable[[], int] | str) -> None: ...


REFUSED_HANDLERS: list[tuple[Any, str]] = [
    (sync_handler, "is not a coroutine function: write `async def`"),
    (partial(sync_handler), "is not a coroutine function"),
    (no_context, "takes no context: write `ctx: Context` as its first argument"),
    (keyword_context, "takes no context"),
    (untyped, "has no type for 'ward': write it, such as `ward: str`"),
    (keyword_only, "takes 'ward' by keyword, but clients send by position"),
    (keywords, "takes 'ward' by keyword"),
    (unknown_name, "has an annotation that cannot be read: name 'Nowhere' is not defined"),
    (no_type, "has a type for 'ward' that cannot be checked"),
    (no_ejson, "has a type for 'ward' that clients cannot send: complex; write one of"),
    (no_ejson_inside, "has a type for 'ward' that clients cannot send: complex; write"),
    (function, "has a type for 'ward' that clients cannot send: a function; write one"),
]


@pytest.mark.parametrize(("handler", "text"), REFUSED_HANDLERS)
def test_a_handler_that_cannot_be_one_is_named_with_the_reason(handler: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        read_arguments(handler, "method patients.move")
    message = str(caught.value)
    assert message.startswith(
        f"The handler of the method patients.move ({location_of(handler)}) {text}"
    )
    assert "\n" not in message


def test_what_a_function_of_the_app_makes_may_be_of_any_type() -> None:
    async def handler(ctx: object, a: Annotated[complex, BeforeValidator(complex)]) -> None: ...

    assert read_arguments(handler, "method h").bind(["1+2j"]) == [1 + 2j]


def test_dates_times_and_decimals_come_as_text() -> None:
    async def handler(ctx: object, a: date, b: time, c: timedelta, d: Decimal) -> None: ...

    bound = read_arguments(handler, "method h").bind(["2026-02-03", "10:30", "PT90S", "1.50"])
    assert bound == [date(2026, 2, 3), time(10, 30), timedelta(seconds=90), Decimal("1.50")]


def test_a_location_names_module_and_function() -> None:
    handler: Handler = every_kind
    assert location_of(handler) == f"{__name__}.every_kind"


def test_a_first_argument_with_another_type_is_no_context() -> None:
    async def handler(ward: str) -> None: ...

    with pytest.raises(TypeError, match=r"'ward' that is no context: write `ctx: Context` before"):
        read_arguments(handler, "method m")

"""The declared type of what is sent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from bolide.core.errors import MethodError
from bolide.server.arguments import EJSONValue
from bolide.server.channels.payload import Payload, WrongPayload
from bolide.server.methods.errors import wire_error


class Shift(Enum):
    NIGHT = "night"


class Model(BaseModel):
    bed: int
    nick: str = Field(default="", alias="nickName")


@dataclass
class Data:
    bed: int
    shift: Shift = Shift.NIGHT


class Plain:
    pass


class Typed(TypedDict):
    bed: int


WHEN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("annotation", "given", "sent"),
    [
        (Model, Model(bed=3, nickName="Jo"), {"bed": 3, "nickName": "Jo"}),
        (Model, {"bed": 3}, {"bed": 3}),
        (Data, Data(3), {"bed": 3, "shift": "night"}),
        (Typed, {"bed": 3}, {"bed": 3}),
        (str, "hello", "hello"),
        (list[int], (1, 2), [1, 2]),
        (datetime, WHEN, WHEN),
        (set[Shift], {Shift.NIGHT}, ["night"]),
        (UUID, UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (EJSONValue, {"$any": None}, {"$any": None}),
        (Model | None, None, None),
    ],
)
def test_a_value_of_the_type_is_sent_as_what_ddp_carries(
    annotation: Any, given: Any, sent: Any
) -> None:
    payload = Payload("message", annotation, 'app.channel("typing")')
    assert payload.value_of(given) == sent
    assert payload.validated(sent) == sent


@pytest.mark.parametrize(
    ("annotation", "given", "place"),
    [
        (Model, {"bed": "Meyer"}, "message.bed"),
        (Model, {}, "message.bed"),
        (Model, "Meyer", "message"),
        (Data, Data("Meyer"), "message.bed"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Typed, {"bed": 3, "Meyer": 4}, None),
        (dict[str, int], {"Meyer": "x"}, "message.*"),
        (dict[str, Any], {"$where": 1}, "message"),
        (str, None, "message"),
    ],
)
def test_a_refusal_names_the_field_and_not_the_value(
    annotation: Any, given: Any, place: str | None
) -> None:
    payload = Payload("message", annotation, 'app.channel("typing")')
    if place is None:
        payload.value_of(given)
        return
    with pytest.raises(WrongPayload) as refused:
        payload.value_of(given)
    text = str(refused.value)
    assert 'app.channel("typing")' in text
    assert f'"{place}"' in text
    assert "Meyer" not in text
    assert wire_error(refused.value).error == 500


@pytest.mark.parametrize("given", [object(), {"a": object()}, 2**70, {1: "Meyer"}])
def test_what_ddp_does_not_carry_is_refused(given: Any) -> None:
    payload = Payload("message", EJSONValue, 'app.channel("typing")')
    with pytest.raises(WrongPayload, match='"message" is nothing that DDP carries') as refused:
        payload.value_of(given)
    assert "Meyer" not in str(refused.value)


def test_what_another_node_sent_is_refused_as_a_clients_would_be() -> None:
    with pytest.raises(MethodError) as refused:
        Payload("message", Model, 'app.channel("typing")').validated({"bed": "Meyer"})
    assert refused.value.error == 400


def test_what_no_client_can_send_is_no_payload() -> None:
    with pytest.raises(TypeError, match=r'app.channel\("typing"\).*complex'):
        Payload("message", complex, 'app.channel("typing")')
    with pytest.raises(TypeError, match="clients cannot send: Plain"):
        Payload("message", list[Plain], 'app.channel("typing")')


@pytest.mark.parametrize("annotation", [{"role": str}, [str], 7, lambda: None])
def test_what_is_no_type_is_refused_with_what_is_one(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r'app.presence\("here"\).*: write a type, such as str'):
        Payload("info", annotation, 'app.presence("here")')

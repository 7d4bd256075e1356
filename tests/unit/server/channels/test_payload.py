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
from bolide.server.channels.payload import Payload


class Shift(Enum):
    NIGHT = "night"


class Model(BaseModel):
    bed: int
    nick: str = Field(default="", alias="nickName")


@dataclass
class Data:
    bed: int
    shift: Shift = Shift.NIGHT


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
    with pytest.raises(MethodError) as refused:
        payload.value_of(given)
    assert refused.value.error == 400
    assert f'"{place}"' in str(refused.value)
    assert "Meyer" not in str(refused.value)


def test_what_no_client_can_send_is_no_payload() -> None:
    with pytest.raises(TypeError, match=r'app.channel\("typing"\).*complex'):
        Payload("message", complex, 'app.channel("typing")')

"""Document ids on the wire."""

import pytest

from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.errors import EJSONError
from bolide.core.values import UNDEFINED, EJSONValue, ObjectId, Undefined, equals

HEX = "aabbccddeeff001122334455"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "abc"),
        ("", ""),
        (HEX, f"-{HEX}"),
        (HEX.upper(), HEX.upper()),
        ("-a", "--a"),
        ("~a", "-~a"),
        ("-", "--"),
        (ObjectId(HEX), HEX),
        (12, "~12"),
        (1.0, "~1"),
        (None, "~null"),
        (True, "~true"),
        ({"a": b"\x01"}, '~{"a":{"$binary":"AQ=="}}'),
        (UNDEFINED, "-"),
    ],
)
def test_every_id_survives_the_wire(value: EJSONValue | Undefined, text: str) -> None:
    assert id_stringify(value) == text
    assert equals(id_parse(text), value)


@pytest.mark.parametrize("text", ["~", "~x", "~1 2"])
def test_broken_ejson_is_refused(text: str) -> None:
    with pytest.raises(EJSONError, match="not valid JSON"):
        id_parse(text)

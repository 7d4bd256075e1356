"""What the server's ``connected`` says of extensions."""

from typing import Any

import pytest

from bolide.client.ddp.agreement import NOTHING_AGREED, Agreement, read_agreement
from bolide.core.ddp.messages import Connected


def test_server_without_our_key_agrees_to_nothing() -> None:
    assert read_agreement(Connected("s")) is NOTHING_AGREED


def test_extensions_and_build_are_read() -> None:
    message = Connected("s", {"build": "b1", "extensions": ["call", "other"]})
    assert read_agreement(message) == Agreement(
        speaks_bolide=True, extensions=frozenset({"call", "other"}), build="b1"
    )


def test_limits_are_read() -> None:
    limits: Any = {"max_message_bytes": 9, "max_json_depth": 2, "other": 1}
    agreement = read_agreement(Connected("s", {"limits": limits}))
    assert agreement == Agreement(speaks_bolide=True, max_message_bytes=9, max_json_depth=2)


@pytest.mark.parametrize(
    "bolide",
    [
        {},
        {"extensions": "resync"},
        {"build": 7, "extensions": [7]},
        {"limits": 5},
        {"limits": {"max_message_bytes": "1", "max_json_depth": True}},
    ],
)
def test_what_is_not_understood_means_nothing(bolide: Any) -> None:
    assert read_agreement(Connected("s", bolide)) == Agreement(speaks_bolide=True)


@pytest.mark.parametrize(
    ("frame", "details"),
    [
        ('{"a":"bcdefgh"}', None),
        ('{"a":"bcdefghi"}', {"size": 16, "limit": 15}),
        ('{"a":"ééééé"}', {"size": 18, "limit": 15}),
        ("[[]]", None),
        ('["[[{"]', None),
        ("[[[]]]", {"size": 3, "limit": 2}),
    ],
)
def test_what_the_server_does_not_take_is_known_before_it_is_sent(frame: str, details: Any) -> None:
    agreement = Agreement(speaks_bolide=True, max_message_bytes=15, max_json_depth=2)
    refusal = agreement.refusal(frame)
    assert (None if refusal is None else refusal.details) == details
    assert NOTHING_AGREED.refusal(frame) is None

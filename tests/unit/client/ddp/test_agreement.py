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


@pytest.mark.parametrize("bolide", [{}, {"extensions": "resync"}, {"build": 7, "extensions": [7]}])
def test_what_is_not_understood_means_nothing(bolide: Any) -> None:
    assert read_agreement(Connected("s", bolide)) == Agreement(speaks_bolide=True)

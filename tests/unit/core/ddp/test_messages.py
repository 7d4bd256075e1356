"""Messages: the little that they do themselves."""

import pytest

from bolide.core.ddp.messages import Added, Ping, WireError
from bolide.core.values import UNDEFINED


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (WireError(404, "Method 'x' not found"), "Method 'x' not found [404]"),
        (WireError("not-found"), "[not-found]"),
        (WireError(500, ""), "[500]"),
    ],
)
def test_message_of_an_error_is_meteors(error: WireError, text: str) -> None:
    assert error.message == text


def test_messages_are_frozen_since_sessions_share_them() -> None:
    with pytest.raises(AttributeError):
        Added("c", "x", {}).collection = "d"  # type: ignore[misc]  # that is what is tested


def test_ping_without_id_is_not_a_ping_with_null() -> None:
    assert Ping().id is UNDEFINED
    assert Ping() != Ping(None)

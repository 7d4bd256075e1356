"""Ids of calls: secret, unique, and the program's own where it chooses."""

import pytest

from bolide.client.ddp.call_ids import CallIds
from bolide.core.errors import ConfigurationError


def test_client_id_is_drawn_once_and_call_ids_are_all_different() -> None:
    ids, others = CallIds(), CallIds()
    first, second = ids.identity(), ids.identity()
    assert first.client == second.client != others.identity().client
    assert first.call != second.call
    assert 16 <= len(first.client) <= 64
    assert 1 <= len(first.call) <= 64


def test_client_id_that_is_used_again_makes_no_call_id_twice() -> None:
    secret = "s" * 16
    first, second = CallIds(secret).identity(), CallIds(secret).identity()
    assert first.client == second.client == secret
    assert first.call != second.call
    assert CallIds(secret).identity("order 7").call == "order 7"


@pytest.mark.parametrize("client", ["", "s" * 15, "s" * 65])
def test_client_id_that_is_no_secret_is_refused_and_not_repeated(client: str) -> None:
    with pytest.raises(ConfigurationError, match=r"client_id is '\(hidden\)'"):
        CallIds(client)


@pytest.mark.parametrize("call", ["", "c" * 65])
def test_call_id_of_a_wrong_length_is_refused(call: str) -> None:
    with pytest.raises(ConfigurationError, match="call_id"):
        CallIds().identity(call)

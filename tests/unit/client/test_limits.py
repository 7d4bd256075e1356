"""Limits of a client."""

import pytest

from bolide.client.limits import ClientLimits
from bolide.core.errors import ConfigurationError


def test_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_calls is 0"):
        ClientLimits(max_calls=0)
    assert ClientLimits(max_calls=1).max_calls == 1

"""The setting: nothing is asked, and a missing driver is named."""

import subprocess
import sys

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.redis import setting
from bolide.server.redis.setting import address_of
from bolide.server.settings import Settings


def test_no_setting_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(name: str) -> None:
        assert name == "redis"

    monkeypatch.setattr(setting, "find_spec", finds_nothing)
    assert address_of(Settings()) is None
    with pytest.raises(ConfigurationError, match=r'pip install "bolide\[redis\]"'):
        address_of(Settings(redis="redis://localhost"))


def test_the_insecure_setting_belongs_to_it() -> None:
    with pytest.raises(ConfigurationError, match="BOLIDE_INSECURE_REDIS"):
        address_of(Settings(redis="redis://cache"))
    address = address_of(Settings(redis="redis://cache", insecure_redis=True))
    assert address is not None
    assert address.hosts == (("cache", 6379),)


_WITHOUT_THE_EXTRA = """
import sys

class NoRedis:
    def find_spec(self, name, path=None, target=None):
        if name == "redis" or name.startswith("redis."):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoRedis())
import bolide.ops.cli, bolide.server
assert "redis" not in sys.modules
"""


def test_nothing_else_needs_the_driver() -> None:
    subprocess.run([sys.executable, "-c", _WITHOUT_THE_EXTRA], check=True)

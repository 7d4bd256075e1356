"""The setting ``redis``: whether it can be used is told before anything is opened."""

from importlib.util import find_spec

from bolide.server.redis.address import RedisAddress, parse_redis_url, refused
from bolide.server.settings import Settings

__all__ = ["address_of"]


def address_of(settings: Settings) -> RedisAddress | None:
    """Return where Redis is; None if the node has none. Nothing is asked.

    Args:
        settings: Of the node.

    Raises:
        ConfigurationError: If the URL cannot work, or the driver, which comes with an extra, is not
            installed.
    """
    if settings.redis is None:
        return None
    if find_spec("redis") is None:
        raise refused('left out, or its driver installed: pip install "bolide[redis]"')
    return parse_redis_url(settings.redis, insecure=settings.insecure_redis)

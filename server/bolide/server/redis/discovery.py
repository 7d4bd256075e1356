"""Find the server that holds our keys, and find out whether it will do."""

from dataclasses import dataclass
from pathlib import Path

# Answers of Redis.
from typing import Any, Final

from bolide.server.redis.address import RedisAddress, refused
from bolide.server.redis.connection import MAX_REPLY_BYTES, PasswordRefused, RedisConnection
from bolide.server.redis.errors import CommandRefused, RedisAway

__all__ = ["OLDEST_VERSION", "Server", "find_server", "locate"]

OLDEST_VERSION: Final = (6, 2)
"""Oldest Redis that is used; the first with all commands, users and TLS."""

_SHARDED: Final = (7, 0)
_MODES: Final = {
    "cluster": "redis+cluster://, because this is a cluster",
    "sentinel": "redis+sentinel://host/service, because this is a Sentinel",
}


@dataclass(frozen=True, slots=True)
class Server:
    """The one server that holds all our keys.

    Attributes:
        address: Who asks.
        host: Name and port; None is the address's Unix socket.
        version: Of Redis, as it writes it.
        evicts: Its ``maxmemory-policy``, if it may throw away keys; otherwise empty.
        has_shards: It is one of a cluster, and messages can stay on it.
    """

    address: RedisAddress
    host: tuple[str, int] | None
    version: str
    evicts: str
    has_shards: bool

    async def connect(self, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> RedisConnection:
        """Open a connection to it, as :meth:`RedisConnection.open` does."""
        return await RedisConnection.open(
            self.address, self.host, max_reply_bytes=max_reply_bytes, is_known=True
        )


async def find_server(address: RedisAddress, key: str) -> Server:
    """Look for the server, and check it.

    Args:
        address: Where to look.
        key: One of our keys; in a cluster all have the same slot.

    Raises:
        ConfigurationError: If the setting can never work; the text says what to do.
        RedisAway: If it cannot be used now.
    """
    host = await locate(address, key)
    connection = await RedisConnection.open(address, host)
    try:
        return await _checked(address, host, connection)
    finally:
        await connection.close()


async def locate(address: RedisAddress, key: str) -> tuple[str, int] | None:
    """Return where a key is; None is the address's Unix socket. It is not checked.

    Args:
        address: Where to look.
        key: Any key.

    Raises:
        ConfigurationError: If the setting can never work; the text says what to do.
        RedisAway: If nobody knows now.
    """
    _check_files(address)
    match address.kind:
        case "sentinel":
            return await _ask_sentinels(address)
        case "cluster":
            return await _ask_cluster(address, key)
        case _:
            return address.hosts[0] if address.hosts else None


async def _checked(
    address: RedisAddress, host: tuple[str, int] | None, connection: RedisConnection
) -> Server:
    # The word makes it longer than 16 bytes, for which a MongoDB would wait.
    info = _parsed(await connection.command("INFO", "default"))
    if "redis_version" not in info:
        raise refused("that of a Redis: what answers there is something else")
    version = _version(info["redis_version"])
    if version < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise refused(f"that of a Redis {oldest} or newer; this one is older")
    mode = info.get("redis_mode", "standalone")
    if address.kind == "single" and mode in _MODES:
        raise refused(_MODES[mode])
    if info.get("role") != "master":
        what = "give the URL of its primary, or redis+sentinel://"
        raise RedisAway(f"is a read-only replica: {what}")
    policy = info.get("maxmemory_policy", "noeviction")
    return Server(
        address=address,
        host=host,
        version=info["redis_version"],
        evicts="" if policy == "noeviction" or info.get("maxmemory") == "0" else policy,
        has_shards=mode == "cluster" and version >= _SHARDED,
    )


def _check_files(address: RedisAddress) -> None:
    for option, path in address.tls_files.items():
        try:
            with Path(path).open("rb"):
                pass
        except OSError:
            raise refused(f"one whose {option} names a PEM file that this user may read") from None


async def _ask_sentinels(address: RedisAddress) -> tuple[str, int]:
    """Return where the primary is, by the first Sentinel that knows."""
    away: RedisAway | None = None
    for host in address.hosts:
        try:
            answer = await _asked(
                address, host, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service
            )
        except CommandRefused:
            raise refused("redis:// before this host, because it is no Sentinel") from None
        except RedisAway as error:
            away = error
            continue
        if answer is not None:
            return answer[0].decode(), int(answer[1])
    if away is None:
        raise refused("with the name of a service that the Sentinels watch, after the last slash")
    raise RedisAway("has no Sentinel that answers and knows the primary") from away


async def _ask_cluster(address: RedisAddress, key: str) -> tuple[str, int]:
    """Return where the primary is that holds a key, by the first member that answers."""
    away: RedisAway | None = None
    for host in address.hosts:
        try:
            slot: int = await _asked(address, host, "CLUSTER", "KEYSLOT", key)
            slots = await _asked(address, host, "CLUSTER", "SLOTS")
        except CommandRefused:
            raise refused("redis:// before this host, because it is in no cluster") from None
        except RedisAway as error:
            away = error
            continue
        for first, last, primary, *_ in slots:
            if first <= slot <= last:
                # A member that does not know its own name leaves it out: it is the one we asked.
                name = (primary[0] or b"").decode() or host[0]
                return name, int(primary[1])
    raise RedisAway("has no member of the cluster that holds our keys") from away


async def _asked(address: RedisAddress, host: tuple[str, int], *command: str) -> Any:
    is_sentinel = address.kind == "sentinel"
    try:
        connection = await RedisConnection.open(address, host, is_sentinel=is_sentinel)
        try:
            return await connection.command(*command)
        finally:
            await connection.close()
    except PasswordRefused as error:
        if not is_sentinel:
            raise
        raise refused(
            f"{error.expected}; what is asked is a Sentinel, whose own are"
            " sentinel_username= and sentinel_password= after a question mark"
        ) from error


def _parsed(info: Any) -> dict[str, str]:
    text = info.decode("utf-8", errors="replace") if isinstance(info, bytes) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split(".")[:2])

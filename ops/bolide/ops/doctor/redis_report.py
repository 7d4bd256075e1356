"""Look at the Redis of the settings, as a node would use it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bolide.ops.terminal.amounts import size_text
from bolide.server.redis.errors import RedisAway
from bolide.server.redis.setting import address_of
from bolide.server.settings import Settings

__all__ = ["RedisReport", "inspect_redis"]

# As nodes do: a counter, the time, and whether there is a stream.
_CHECK: Final = """
redis.call('INCRBY', KEYS[2], 1)
redis.call('PEXPIRE', KEYS[2], 1)
redis.call('TIME')
return #redis.pcall('XINFO', 'STREAM', KEYS[1])
"""
_END: Final = f"{2**64 - 1}-{2**64 - 1}"


@dataclass(frozen=True, slots=True)
class RedisReport:
    """What was seen.

    Attributes:
        rows: Names and values, for people; no secret and no value of an entry is among them.
        problem: What keeps nodes from using it now, a sentence; empty if nothing does.
    """

    rows: Sequence[tuple[str, str]]
    problem: str


async def inspect_redis(settings: Settings) -> RedisReport | None:
    """Ask Redis; None if the settings name none.

    Args:
        settings: Of a node.

    Raises:
        ConfigurationError: If it can never be used; the text says what to do.
    """
    address = address_of(settings)
    if address is None:
        return None
    # The driver comes with an extra.
    from bolide.server.redis.discovery import find_server

    rows = [("kind", f"{address.kind}, {'TLS' if address.uses_tls else 'no TLS'}")]
    try:
        server = await find_server(address, settings.redis_stream)
        where = "socket" if server.host is None else f"{server.host[0]}:{server.host[1]}"
        rows += [("server", where), ("version", server.version)]
        if server.evicts:
            rows.append(("warning", f"may evict keys ({server.evicts}): set noeviction"))
        connection = await server.connect()
        try:
            began = time.perf_counter()
            info = await connection.command("INFO", "memory")
            rows.append(("round trip", f"{(time.perf_counter() - began) * 1000:.1f} ms"))
            rows.append(("memory", _memory(info)))
            stream, ours = settings.redis_stream, f"{{{settings.redis_stream}}}:doctor"
            found = await connection.command("EVAL", _CHECK, 2, stream, ours)
            await connection.command("XREAD", "COUNT", 1, "STREAMS", stream, _END)
            await connection.command("PUBSUB", "NUMSUB", ours)
            rows.append(("stream", f"{stream}, {'there' if found else 'not there yet'}"))
        finally:
            await connection.close()
    except RedisAway as error:
        return RedisReport(rows, str(error))
    return RedisReport(rows, "")


def _memory(info: bytes) -> str:
    numbers = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    used, most = int(numbers[b"used_memory"]), int(numbers.get(b"maxmemory", 0))
    return f"{size_text(used)}{f' of {size_text(most)}' if most else ''}"

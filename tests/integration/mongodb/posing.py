"""A server that answers as a MongoDB would that cannot be run here: another version, a mongos."""

import asyncio
import ssl
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import bson

__all__ = ["HELLO", "posing"]

# As mongod 6.0.5 answers, without what only it can know.
HELLO: Final[Mapping[str, Any]] = {
    "helloOk": True, "ismaster": True, "isWritablePrimary": True, "secondary": False,
    "setName": "rs0", "setVersion": 1, "maxBsonObjectSize": 16_777_216,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0, "maxWireVersion": 17, "ok": 1.0,
}  # fmt: skip
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_HEAD: Final = struct.Struct("<iiii")


@asynccontextmanager
async def posing(context: ssl.SSLContext | None = None, **answer: Any) -> AsyncGenerator[str]:
    """Answer every command with a hello; gives the address.

    Args:
        context: How it speaks TLS.
        answer: What is different in its hello.
    """
    hello = {**HELLO, **answer}

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, number, _, kind = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                await reader.readexactly(length - _HEAD.size)
                document = bson.encode({"localTime": datetime.now(UTC), **hello})
                if kind == _OP_QUERY:
                    body, answered = struct.pack("<iqii", 8, 0, 0, 1) + document, _OP_REPLY
                else:
                    body, answered = struct.pack("<iB", 0, 0) + document, _OP_MSG
                writer.write(_HEAD.pack(_HEAD.size + len(body), 1, number, answered) + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_all, "127.0.0.1", 0, ssl=context)
    port: int = server.sockets[0].getsockname()[1]
    if "hosts" not in hello and "setName" in hello and hello["setName"]:
        hello |= {"hosts": [f"127.0.0.1:{port}"], "me": f"127.0.0.1:{port}"}
        hello["primary"] = hello["me"]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.close()

"""A WebSocket client that reads when it is told to, with nobody who reads for it."""

import asyncio
import base64
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.messages import ClientMessage, ServerMessage

__all__ = ["RawClient"]

_RECEIVE_BYTES = 4_096
_TEXT, _FIN, _MASK = 0x1, 0x80, 0x80
_SHORT = 126


class RawClient:
    """One connection.

    Attributes:
        received: Bytes that were read, frames included.
    """

    def __init__(self) -> None:
        self.received = 0
        self._socket = socket.socket()
        # What lies in the kernel is out of the node's hands.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self._socket.setblocking(False)
        self._data = b""

    async def connect(self, url: str) -> None:
        """Shake hands."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, (parts.hostname, parts.port))
        key = base64.b64encode(os.urandom(16)).decode()
        await loop.sock_sendall(
            self._socket,
            f"GET /websocket HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode(),
        )
        while b"\r\n\r\n" not in self._data:
            await self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    async def send(self, message: ClientMessage) -> None:
        """Send a message."""
        payload = serialize(message, bolide=True).encode()
        head = bytes([_FIN | _TEXT])
        if len(payload) < _SHORT:
            head += bytes([_MASK | len(payload)])
        else:
            head += bytes([_MASK | _SHORT]) + struct.pack("!H", len(payload))
        # A mask of zeros leaves the payload as it is.
        await asyncio.get_running_loop().sock_sendall(self._socket, head + bytes(4) + payload)

    async def receive(self) -> ServerMessage:
        """Read one message."""
        while (frame := self._take_frame()) is None:
            await self._read()
        message = parse_server_message(frame)
        assert message is not None
        return message

    def close(self) -> None:
        """Go away."""
        self._socket.close()

    async def _read(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        assert data, "the node closed the connection"
        self._data += data
        self.received += len(data)

    def _take_frame(self) -> str | None:
        data, start = self._data, 2
        if len(data) < start:
            return None
        size: Any = data[1]
        if size >= _SHORT:
            form, start = ("!H", 4) if size == _SHORT else ("!Q", 10)
            if len(data) < start:
                return None
            [size] = struct.unpack(form, data[2:start])
        if len(data) < start + size:
            return None
        assert data[0] == _FIN | _TEXT, f"a frame that begins with {data[0]:#x}"
        self._data = data[start + size :]
        return data[start : start + size].decode()

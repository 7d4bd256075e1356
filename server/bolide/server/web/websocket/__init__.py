"""The WebSocket class: RFC 6455 on a uvicorn connection, with plain calls beside ASGI."""

from bolide.server.web.websocket.protocol import BolideWebSocket

__all__ = ["BolideWebSocket"]

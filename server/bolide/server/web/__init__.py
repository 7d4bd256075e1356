"""The node's sockets: DDP over WebSocket and SockJS, pages, and the management listener."""

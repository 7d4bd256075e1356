"""The transports: one session over one WebSocket, raw or as SockJS has it."""

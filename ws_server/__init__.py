"""The realm: a WebSocket server that keeps, orders and pushes messages."""

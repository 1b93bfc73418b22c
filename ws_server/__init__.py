"""The realm: a WebSocket server that keeps, orders and pushes messages."""

__version__ = "0.2.0"

"""The server of a realm: it stores, orders and pushes messages."""

__version__ = "0.2.0"

"""Connections: sockets, sessions, and who is connected."""

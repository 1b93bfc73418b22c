"""The network layer: sockets, WebSockets, sessions, and the hub of signed-in users."""

"""The terminal client: typed commands and incoming messages on `shared.client`."""

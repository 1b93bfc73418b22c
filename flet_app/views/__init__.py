"""The views: each shows a part of the state and calls actions."""

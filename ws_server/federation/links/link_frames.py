"""The kinds of frames on a link that several modules know; docs/federation.md describes them."""

from __future__ import annotations

WANT, PIECE_OF, LATER, GONE = "want", "piece", "later", "gone"
"""Ask for a piece of a content, and the three answers."""
STILL, HERE, COPIES = "still", "here", "copies"
"""Asks whether a server is still there whose link was replaced; its answer; and what follows."""


class Overrun(Exception):
    """The peer sends more than the window allows, or violates the protocol."""

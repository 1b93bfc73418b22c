"""The kinds of frames on a link that several modules share; docs/federation.md specifies them."""

from __future__ import annotations

WANT, PIECE_OF, LATER, GONE = "want", "piece", "later", "gone"
"""The request for a piece of a content, and its three answers."""
STILL, HERE, COPIES = "still", "here", "copies"
"""The probe of a replaced link, its answer, and the notice that two servers share a key."""


class Overrun(Exception):
    """The peer sends more than the window allows, or violates the protocol."""

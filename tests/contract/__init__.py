"""The contract on the wire, written by hand: tests compare what is declared with it.

Each command is one row, in the file of its feature. The dialects, the declarations and the replies
of a realm are all tested with these rows.
"""

from __future__ import annotations

from tests.contract import (
    accounts,
    blocks,
    files,
    groups,
    history,
    links,
    meta,
    private,
    realms,
)
from tests.contract.row import Row

ROWS: list[Row] = [
    *accounts.ROWS,
    *private.ROWS,
    *blocks.ROWS,
    *groups.ROWS,
    *history.ROWS,
    *files.ROWS,
    *realms.ROWS,
    *links.ROWS,
    *meta.ROWS,
]
CONTRACT = {row.name: row for row in ROWS}
"""The rows by the name of their command."""
SPELLINGS = [spelling for row in ROWS for spelling in row.spellings]
"""Requests, and the frames that all ask for this one."""

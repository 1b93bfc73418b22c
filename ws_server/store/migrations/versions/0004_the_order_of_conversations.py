"""Conversations get the time of their newest message, and a position in the order of activity."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# Newest messages are ordered by row, which is commit order. Conversations without messages are
# placed among them by time; a time from a clock that was ahead counts as the next lower one.
_FILL = """
WITH newest AS (
    SELECT c.id, c.created, m.time, m."row",
        MIN(m.time) OVER (PARTITION BY m."row" IS NULL ORDER BY m."row" DESC) AS placed
    FROM conversations c
    LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = c.last_seq
), ordered AS (
    SELECT id, COALESCE(time, 0) AS time,
        ROW_NUMBER() OVER (ORDER BY COALESCE(placed, created), COALESCE("row", 0), id) AS activity
    FROM newest
)
UPDATE conversations SET last_time = ordered.time, activity = ordered.activity
FROM ordered WHERE ordered.id = conversations.id
"""


def upgrade() -> None:
    for name in ("last_time", "activity"):
        op.add_column(
            "conversations",
            sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        )
    op.execute(_FILL)

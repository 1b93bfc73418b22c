"""Groups whose new members read only messages sent after they join."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table, name in (
        ("conversations", "missing_seq"),
        ("members", "hidden_seq"),
        ("invitations", "hidden_seq"),
    ):
        number = sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
        op.add_column(table, number)
    op.add_column(
        "conversations",
        sa.Column("history_from_joining", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    is_there = sa.text("file_id IS NOT NULL")
    op.create_index(
        op.f("ix_messages_file_id"),
        "messages",
        ["file_id"],
        sqlite_where=is_there,
        postgresql_where=is_there,
    )

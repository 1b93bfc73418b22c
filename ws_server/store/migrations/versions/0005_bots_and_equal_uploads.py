"""Messages of programs are marked, and equal content may be uploaded twice at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Not in batch mode: on SQLite that recreates the table, and the table of messages is large.
    for table in ("messages", "posts", "uploads"):
        op.add_column(
            table, sa.Column("bot", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("uploads") as uploads:
        uploads.drop_constraint(op.f("uq_uploads_user_id_target_sha256"), type_="unique")
        uploads.create_index(
            op.f("ix_uploads_user_id_target_sha256"), ["user_id", "target", "sha256"]
        )

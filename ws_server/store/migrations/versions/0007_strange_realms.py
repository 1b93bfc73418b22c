"""Realms are marked as confirmed by local users, except those waiting for approval."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "realms", sa.Column("vouched", sa.Boolean, nullable=False, server_default=sa.false())
    )
    realms = sa.table("realms", sa.column("state"), sa.column("vouched"))
    known = sa.update(realms).where(realms.c.state != "pending")
    op.execute(known.values(vouched=sa.true()))

"""Accounts can be disabled, and imported groups are recorded by their old ids."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Not in batch mode: on SQLite that recreates the table, which its foreign keys prevent.
    op.add_column(
        "users", sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "imported_groups",
        sa.Column("old_id", sa.String(length=255), nullable=False),
        sa.Column(
            "conversation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_imported_groups_conversation_id"),
        ),
        sa.PrimaryKeyConstraint("old_id", name=op.f("pk_imported_groups")),
    )

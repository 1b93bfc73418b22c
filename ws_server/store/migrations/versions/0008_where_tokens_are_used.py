"""Tokens store the address of their last use, so that guessing elsewhere cannot lock out a user."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("address", sa.String(64), nullable=True))

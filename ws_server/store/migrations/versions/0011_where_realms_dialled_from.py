"""Realms store the network of their first dial, so that one network cannot crowd out others."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("realms", sa.Column("met_from", sa.String(64), nullable=True))

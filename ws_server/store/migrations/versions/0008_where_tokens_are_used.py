"""From where tokens are used: there their owners can sign in, whoever guesses elsewhere"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("address", sa.String(64), nullable=True))

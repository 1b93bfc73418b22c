"""Users can block people, ban them from groups, and accept or decline invitations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Constraint

revision = "0009"
down_revision = "0008"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for column in ("low_blocks", "high_blocks"):
        op.add_column(
            "conversations",
            sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()),
        )
    op.create_table("kept_out", *_pair("kept_out"), _flag("banned"))
    op.create_table(
        "invitations",
        *_pair("invitations"),
        sa.Column("realm_id", IDENTITY, nullable=False),
        sa.ForeignKeyConstraint(["realm_id"], ["realms.id"], name=op.f("fk_invitations_realm_id")),
        _flag("owner"),
        *(_number(name) for name in ("place", "joined_seq", "since")),
        _flag("declined"),
    )
    for column in ("realm_id", "user_id"):
        op.create_index(op.f(f"ix_invitations_{column}"), "invitations", [column])


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _pair(table: str) -> tuple[Column[int] | Constraint, ...]:
    """Return the columns and keys of a table about a user and a conversation."""
    return (
        sa.Column("conversation_id", IDENTITY, nullable=False),
        sa.Column("user_id", IDENTITY, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "user_id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f(f"fk_{table}_conversation_id"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f(f"fk_{table}_user_id")),
    )

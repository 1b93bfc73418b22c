"""Other realms, their users and groups, and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HERE = sa.text("realm_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "realms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("own_name", sa.String(length=32), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("tls", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("received_log", sa.String(length=128), nullable=False),
        sa.Column("refusals", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_realms")),
        sa.UniqueConstraint("key", name=op.f("uq_realms_key")),
        sa.UniqueConstraint("public_key", name=op.f("uq_realms_public_key")),
    )
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("realm_id", _ID, nullable=True))
        users.alter_column("name", type_=sa.String(length=80))
        users.alter_column("key", type_=sa.String(length=80))
        users.drop_constraint(op.f("uq_users_key"), type_="unique")
        users.create_foreign_key(op.f("fk_users_realm_id"), "realms", ["realm_id"], ["id"])
        users.create_unique_constraint(op.f("uq_users_realm_id_key"), ["realm_id", "key"])
    op.create_index(
        "uq_users_key_here",
        "users",
        ["key"],
        unique=True,
        sqlite_where=_HERE,
        postgresql_where=_HERE,
    )
    # Batch mode on SQLite does not copy check constraints.
    kept = sa.CheckConstraint(
        "(number IS NULL) <> (low_user IS NULL)", name=op.f("ck_conversations_private_or_group")
    )
    dialect = op.get_bind().dialect.name
    with op.batch_alter_table(
        "conversations", table_args=(kept,) if dialect == "sqlite" else ()
    ) as conversations:
        conversations.add_column(sa.Column("realm_id", _ID, nullable=True))
        conversations.add_column(sa.Column("request", sa.String(length=64), nullable=True))
        conversations.create_unique_constraint(op.f("uq_conversations_request"), ["request"])
        conversations.drop_constraint(op.f("uq_conversations_number"), type_="unique")
        conversations.create_foreign_key(
            op.f("fk_conversations_realm_id"), "realms", ["realm_id"], ["id"]
        )
        conversations.create_unique_constraint(
            op.f("uq_conversations_realm_id_number"), ["realm_id", "number"]
        )
    op.create_index(
        "uq_conversations_number_here",
        "conversations",
        ["number"],
        unique=True,
        sqlite_where=_HERE,
        postgresql_where=_HERE,
    )
    op.add_column("messages", sa.Column("origin_seq", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("files") as files:
        files.add_column(sa.Column("realm_id", _ID, nullable=True))
        files.create_foreign_key(op.f("fk_files_realm_id"), "realms", ["realm_id"], ["id"])
        files.create_index(
            op.f("ix_files_realm_id_sha256_size"), ["realm_id", "sha256", "size"], unique=False
        )
    op.create_table(
        "fetches",
        sa.Column("realm_id", _ID, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sender_id", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["realm_id"], ["realms.id"], name=op.f("fk_fetches_realm_id")),
        sa.ForeignKeyConstraint(["sender_id"], ["users.id"], name=op.f("fk_fetches_sender_id")),
        sa.PrimaryKeyConstraint("realm_id", "sha256", name=op.f("pk_fetches")),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("conversation_id", _ID, nullable=False),
        sa.Column("sender_id", _ID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("file_id", sa.String(length=40), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("refused", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_posts_conversation_id")
        ),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name=op.f("fk_posts_file_id")),
        sa.ForeignKeyConstraint(["sender_id"], ["users.id"], name=op.f("fk_posts_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posts")),
    )
    op.create_index(
        op.f("ix_posts_sender_id_idempotency_key"),
        "posts",
        ["sender_id", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("realm_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("conversation_id", _ID, nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_outbox_conversation_id")
        ),
        sa.ForeignKeyConstraint(["realm_id"], ["realms.id"], name=op.f("fk_outbox_realm_id")),
        sa.PrimaryKeyConstraint("realm_id", "number", name=op.f("pk_outbox")),
    )
    op.create_index(
        op.f("ix_outbox_conversation_id_seq"), "outbox", ["conversation_id", "seq"], unique=False
    )

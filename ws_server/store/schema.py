"""The tables, as created by the Alembic migrations in `migrations/`; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

# SQLite uses its fast row id only for primary keys of type INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _where(condition: str) -> dict[str, Any]:
    """Return the arguments of a partial index: only rows of this condition are in it."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


meta = Table(
    "meta",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

realms = Table(
    "realms",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(32), nullable=False),  # the name used here
    Column("key", String(32), nullable=False, unique=True),  # the folded name
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("own_name", String(32), nullable=False),  # the name it claims; a hint
    # The address to dial; null if the realm has only dialled here.
    Column("address", String(255)),
    Column("port", Integer),
    Column("tls", Boolean, nullable=False),
    Column("state", String(16), nullable=False),  # active, pending, blocked, removed
    # Whether a local user added it, wrote to its users, or approved it.
    Column("vouched", Boolean, nullable=False, server_default=false()),
    # The /48 or /24 network of its first dial; null if it was added here, or stored before 0011.
    Column("met_from", String(64)),
    Column("created", BigInteger, nullable=False),
    # The highest number of its outbox that is durable here, and the history it belongs to.
    Column("received", BigInteger, nullable=False),
    Column("received_log", String(128), nullable=False),
    # The most recently refused rows from it: codes by number, as JSON.
    Column("refusals", Text, nullable=False),
    # The highest number of the local outbox that it acknowledged.
    Column("confirmed", BigInteger, nullable=False),
)

# Users of this realm, and the users of other realms that are known here.
users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    # Null for local users. A user of a third realm, known from a group that another realm hosts,
    # is stored as a user of that host, under the host's name for them: `carol@gamma`.
    Column("realm_id", ForeignKey("realms.id")),
    Column("name", String(80), nullable=False),
    Column("key", String(80), nullable=False),  # the folded name
    Column("real_name", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("realm_id", "key"),
    Index(
        "uq_users_key_here",
        "key",
        unique=True,
        **_where("realm_id IS NULL"),
    ),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("address", String(64)),  # of the last use; null if not recorded
)

# Codes for registering while registration is by invitation.
invitation_codes = Table(
    "invitation_codes",
    metadata,
    Column("id", String(8), primary_key=True),  # for admins; not part of the code
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("uses", Integer, nullable=False),  # the number of accounts allowed
    Column("uses_left", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    # Private chats: the two users, the lower id first; equal for a chat with oneself.
    Column("low_user", ForeignKey("users.id")),
    Column("high_user", ForeignKey("users.id")),
    # Groups: the hosting realm, null for this one, and the group's number there: 12 for #12.
    Column("realm_id", ForeignKey("realms.id")),
    Column("number", BigInteger),
    Column("name", Text),
    # Groups created here for another realm: its request id, so that a retry creates no second one.
    Column("request", String(64), unique=True),
    Column("last_seq", BigInteger, nullable=False),
    # The time of the newest message; 0 if there is none. See `timeline`.
    Column("last_time", BigInteger, nullable=False, server_default=text("0")),
    # Rises with every message and every new conversation; lists are ordered by it.
    Column("activity", BigInteger, nullable=False, server_default=text("0")),
    # Private chats: whether the low user blocks the high one, and the reverse.
    Column("low_blocks", Boolean, nullable=False, server_default=false()),
    Column("high_blocks", Boolean, nullable=False, server_default=false()),
    # Groups: new members read only messages sent after they join; see `group_history`.
    Column("history_from_joining", Boolean, nullable=False, server_default=false()),
    # Groups of other hosts: messages up to this seq may be missing here.
    Column("missing_seq", BigInteger, nullable=False, server_default=text("0")),
    # Rises with every change of members or blocks; a cached copy is fresh if it is equal.
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("low_user", "high_user"),
    UniqueConstraint("realm_id", "number"),
    Index(
        "uq_conversations_number_here",
        "number",
        unique=True,
        **_where("realm_id IS NULL"),
    ),
    CheckConstraint("(number IS NULL) <> (low_user IS NULL)", name="private_or_group"),
)

members = Table(
    "members",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("owner", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),  # the order of joining
    Column("joined_seq", BigInteger, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("received_seq", BigInteger, nullable=False),
    # Messages up to this seq are hidden from the member.
    Column("hidden_seq", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "user_id"),
)

# People kicked or banned from groups hosted here; see `group_bans`.
kept_out = Table(
    "kept_out",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("banned", Boolean, nullable=False),  # false: kicked, the owner may invite them
)

# Pending invitations of local users from strangers in other realms; see `invitations`.
invitations = Table(
    "invitations",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    # The realm of the inviter, or of the group's host.
    Column("realm_id", ForeignKey("realms.id"), nullable=False, index=True),
    # Role and position in another realm's group, once accepted.
    Column("owner", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("hidden_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("since", BigInteger, nullable=False),
    # Declined, and the host is not notified yet.
    Column("declined", Boolean, nullable=False),
    Index(None, "user_id"),
)

files = Table(
    "files",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    # The other realm that sent the message and has the content; null if it was stored here.
    Column("realm_id", ForeignKey("realms.id")),
    Index(None, "realm_id", "sha256", "size"),  # covers the sum of sizes for a realm
)

# File contents announced by other realms and not stored here yet; see `content_fetches`.
fetches = Table(
    "fetches",
    metadata,
    Column("realm_id", ForeignKey("realms.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("sender_id", ForeignKey("users.id"), nullable=False),  # the first sender
    Column("size", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    # Wrong contents received; at the limit the fetch is abandoned, and the row stays as a record.
    Column("attempts", Integer, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("row", Id, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("id", String(40), nullable=False),
    Column("sender_id", ForeignKey("users.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("file_id", ForeignKey("files.id")),
    Column("idempotency_key", String(64)),
    # The seq in the sender's own realm, in which receipts to that realm are expressed.
    Column("origin_seq", BigInteger),
    # Written by a program; other programs do not answer it.
    Column("bot", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("conversation_id", "seq"),
    Index(
        None,
        "sender_id",
        "idempotency_key",
        unique=True,
        **_where("idempotency_key IS NOT NULL"),
    ),
    Index(
        None,
        "file_id",
        **_where("file_id IS NOT NULL"),
    ),
)

imported_groups = Table(
    "imported_groups",
    metadata,
    # The group's id in the imported system; a repeated import finds the group by it.
    Column("old_id", String(255), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("target", String(80), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("idempotency_key", String(64)),
    Column("touched", BigInteger, nullable=False),
    Column("bot", Boolean, nullable=False, server_default=false()),
    # Not unique: equal content may be uploaded twice, under two names or keys.
    Index(None, "user_id", "target", "sha256"),
)

# Messages for groups of other hosts, until the host assigns their seqs.
posts = Table(
    "posts",
    metadata,
    Column("id", String(40), primary_key=True),  # the message id
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("sender_id", ForeignKey("users.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("file_id", ForeignKey("files.id")),
    Column("idempotency_key", String(64)),
    # The code with which the host refused it for good.
    Column("refused", String(32)),
    Column("bot", Boolean, nullable=False, server_default=false()),
    Index(
        None,
        "sender_id",
        "idempotency_key",
        unique=True,
        **_where("idempotency_key IS NOT NULL"),
    ),
)

# Rows for other realms, in the order of sending.
outbox = Table(
    "outbox",
    metadata,
    # Numbers rise within a realm and are never reused, even after deletion.
    Column("realm_id", ForeignKey("realms.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id")),  # null if not applicable
    # Of a message stored in `messages`; its content is read from there on sending.
    Column("seq", BigInteger),
    # Of a message in `posts`, its id; for other kinds, the fields to send, as JSON.
    Column("body", Text),
    Column("since", BigInteger, nullable=False),
    # The code with which the other realm refused it for good; it is not sent again.
    Column("refused", String(32)),
    Index(None, "conversation_id", "seq"),
)

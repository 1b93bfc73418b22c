"""The tables. Alembic migrations under `migrations/` create them; a test holds both together."""

from __future__ import annotations

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

# SQLite gives only INTEGER primary keys their fast row number.
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
    Column("name", String(32), nullable=False),  # what it is called here
    Column("key", String(32), nullable=False, unique=True),  # the folded name
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("own_name", String(32), nullable=False),  # what it calls itself; a hint
    # Where it is dialled; null if it is known only from dialling here.
    Column("address", String(255)),
    Column("port", Integer),
    Column("tls", Boolean, nullable=False),
    Column("state", String(16), nullable=False),  # active, pending, blocked, removed
    # Somebody here added it, wrote to its people, or let it in; until then it is a stranger.
    Column("vouched", Boolean, nullable=False, server_default=false()),
    # The /48 or /24 from which it dialled first; null if it was added here, or met before 0011.
    Column("met_from", String(64)),
    Column("created", BigInteger, nullable=False),
    # The highest number of its outbox that is durable here, and of which history of its.
    Column("received", BigInteger, nullable=False),
    Column("received_log", String(128), nullable=False),
    # Of its rows, the newest that were refused here: their numbers with the codes, as JSON.
    Column("refusals", Text, nullable=False),
    # The highest number of the outbox here that it has confirmed.
    Column("confirmed", BigInteger, nullable=False),
)

# People of this realm, and those of other realms who are known here.
users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    # Null for people of this realm. A person of a third realm, known from a group that another
    # one hosts, belongs to that host here, under the name `carol@gamma` that the host uses.
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
        sqlite_where=text("realm_id IS NULL"),
        postgresql_where=text("realm_id IS NULL"),
    ),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("address", String(64)),  # from where it was used last; null before that was kept
)

# Codes with which people may register although registration is by invitation.
invitation_codes = Table(
    "invitation_codes",
    metadata,
    Column("id", String(8), primary_key=True),  # what admins call it; it is no part of the code
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("uses", Integer, nullable=False),  # accounts it was made for
    Column("uses_left", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    # Private chats: the two people, the lower id first; equal for notes to oneself.
    Column("low_user", ForeignKey("users.id")),
    Column("high_user", ForeignKey("users.id")),
    # Groups: the realm that hosts it, null if this one, and the 12 of #12 there.
    Column("realm_id", ForeignKey("realms.id")),
    Column("number", BigInteger),
    Column("name", Text),
    # Of a group that another realm had made here, so that asking again makes no second one.
    Column("request", String(64), unique=True),
    Column("last_seq", BigInteger, nullable=False),
    # Of the newest message; 0 if there is none. See `timeline`.
    Column("last_time", BigInteger, nullable=False, server_default=text("0")),
    # Rises with every message of the realm; lists of conversations are ordered by it.
    Column("activity", BigInteger, nullable=False, server_default=text("0")),
    # Private chats: whether the low, or the high, user blocks the other one.
    Column("low_blocks", Boolean, nullable=False, server_default=false()),
    Column("high_blocks", Boolean, nullable=False, server_default=false()),
    # Groups: who joins reads only what is written from then on; see `group_history`.
    Column("history_from_joining", Boolean, nullable=False, server_default=false()),
    # Of a group that another realm hosts: messages up to this one may be missing here.
    Column("missing_seq", BigInteger, nullable=False, server_default=text("0")),
    # Rises with every change of membership or blocking; proves that a cached copy is fresh.
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("low_user", "high_user"),
    UniqueConstraint("realm_id", "number"),
    Index(
        "uq_conversations_number_here",
        "number",
        unique=True,
        sqlite_where=text("realm_id IS NULL"),
        postgresql_where=text("realm_id IS NULL"),
    ),
    CheckConstraint("(number IS NULL) <> (low_user IS NULL)", name="private_or_group"),
)

members = Table(
    "members",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("owner", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),  # order of joining
    Column("joined_seq", BigInteger, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("received_seq", BigInteger, nullable=False),
    # Messages up to this one are not for them.
    Column("hidden_seq", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "user_id"),
)

# People who may not simply be invited again to a group hosted here.
kept_out = Table(
    "kept_out",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("banned", Boolean, nullable=False),  # not even by the owner; else they were kicked
)

# People of this realm who were invited to a group by strangers of other realms, and are not in it.
invitations = Table(
    "invitations",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    # Of the inviter, or of the group's host.
    Column("realm_id", ForeignKey("realms.id"), nullable=False, index=True),
    # What they are in it once they accept, of a group that another realm hosts.
    Column("owner", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("hidden_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("since", BigInteger, nullable=False),
    # Not any more, but the host has not heard of it yet.
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
    # The other realm that sent the message, and has the content; null if it was stored here.
    Column("realm_id", ForeignKey("realms.id")),
    Index(None, "realm_id", "sha256", "size"),  # the size for the sum of all from a realm
)

# Contents that other realms have announced and that are not here yet.
fetches = Table(
    "fetches",
    metadata,
    Column("realm_id", ForeignKey("realms.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("sender_id", ForeignKey("users.id"), nullable=False),  # who sent it first
    Column("size", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    # How often another content came; after some it is given up, and the row stays to say so.
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
    # Where the sender's own realm has it, for receipts to say how far somebody read there.
    Column("origin_seq", BigInteger),
    # A program wrote it, so that other programs do not answer it.
    Column("bot", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("conversation_id", "seq"),
    Index(
        None,
        "sender_id",
        "idempotency_key",
        unique=True,
        sqlite_where=text("idempotency_key IS NOT NULL"),
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index(
        None,
        "file_id",
        sqlite_where=text("file_id IS NOT NULL"),
        postgresql_where=text("file_id IS NOT NULL"),
    ),
)

imported_groups = Table(
    "imported_groups",
    metadata,
    # As its old system called it; a second import finds it again by this.
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
    # Not unique: equal content may be under way twice, under two names or keys.
    Index(None, "user_id", "target", "sha256"),
)

# Messages for groups that another realm hosts, until it has given them their place.
posts = Table(
    "posts",
    metadata,
    Column("id", String(40), primary_key=True),  # of the message
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("sender_id", ForeignKey("users.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("file_id", ForeignKey("files.id")),
    Column("idempotency_key", String(64)),
    # The code with which the other realm refused it for ever.
    Column("refused", String(32)),
    Column("bot", Boolean, nullable=False, server_default=false()),
    Index(
        None,
        "sender_id",
        "idempotency_key",
        unique=True,
        sqlite_where=text("idempotency_key IS NOT NULL"),
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
)

# What waits for other realms, in the order it is sent to each.
outbox = Table(
    "outbox",
    metadata,
    # Numbers of a realm rise, and are never used again, whatever was deleted.
    Column("realm_id", ForeignKey("realms.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id")),  # null if it is about none
    # Of a message that has its place here; the rest is read from there when it is sent.
    Column("seq", BigInteger),
    # Of one that has not, its id; of anything else, what is to be said, as JSON.
    Column("body", Text),
    Column("since", BigInteger, nullable=False),
    # The code with which the other realm refused it for ever; it is not sent again.
    Column("refused", String(32)),
    Index(None, "conversation_id", "seq"),
)

-- A realm as the first schema held it, with a row of each kind; it stays as it is, while the
-- migrations of later versions have to bring it to theirs.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE conversations (
	id INTEGER NOT NULL,
	low_user INTEGER,
	high_user INTEGER,
	number BIGINT,
	name TEXT,
	last_seq BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	CONSTRAINT pk_conversations PRIMARY KEY (id),
	CONSTRAINT ck_conversations_private_or_group CHECK ((number IS NULL) <> (low_user IS NULL)),
	CONSTRAINT fk_conversations_high_user FOREIGN KEY(high_user) REFERENCES users (id),
	CONSTRAINT fk_conversations_low_user FOREIGN KEY(low_user) REFERENCES users (id),
	CONSTRAINT uq_conversations_low_user_high_user UNIQUE (low_user, high_user),
	CONSTRAINT uq_conversations_number UNIQUE (number)
);
INSERT INTO "conversations" VALUES(1,1,2,NULL,NULL,3,0,1700000000004);
INSERT INTO "conversations" VALUES(2,NULL,NULL,1,'lovers of cake',1,2,1700000000005);
CREATE TABLE files (
	id VARCHAR(40) NOT NULL,
	conversation_id INTEGER NOT NULL,
	owner_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	size BIGINT NOT NULL,
	type TEXT NOT NULL,
	sha256 VARCHAR(64) NOT NULL,
	CONSTRAINT pk_files PRIMARY KEY (id),
	CONSTRAINT fk_files_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
	CONSTRAINT fk_files_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
INSERT INTO "files" VALUES('f_1',1,2,'a b.txt',5,'text/plain','2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
CREATE TABLE members (
	conversation_id INTEGER NOT NULL,
	user_id INTEGER NOT NULL,
	owner BOOLEAN NOT NULL,
	place BIGINT NOT NULL,
	joined_seq BIGINT NOT NULL,
	read_seq BIGINT NOT NULL,
	received_seq BIGINT NOT NULL,
	CONSTRAINT pk_members PRIMARY KEY (conversation_id, user_id),
	CONSTRAINT fk_members_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
	CONSTRAINT fk_members_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "members" VALUES(1,1,0,0,0,3,3);
INSERT INTO "members" VALUES(1,2,0,1,0,1,2);
INSERT INTO "members" VALUES(2,1,1,0,0,1,1);
INSERT INTO "members" VALUES(2,2,0,1,1,1,1);
CREATE TABLE messages (
	"row" INTEGER NOT NULL,
	conversation_id INTEGER NOT NULL,
	seq BIGINT NOT NULL,
	id VARCHAR(40) NOT NULL,
	sender_id INTEGER NOT NULL,
	time BIGINT NOT NULL,
	text TEXT NOT NULL,
	file_id VARCHAR(40),
	idempotency_key VARCHAR(64),
	CONSTRAINT pk_messages PRIMARY KEY ("row"),
	CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
	CONSTRAINT fk_messages_file_id FOREIGN KEY(file_id) REFERENCES files (id),
	CONSTRAINT fk_messages_sender_id FOREIGN KEY(sender_id) REFERENCES users (id),
	CONSTRAINT uq_messages_conversation_id_seq UNIQUE (conversation_id, seq)
);
INSERT INTO "messages" VALUES(1,1,1,'m_1',1,1700000000006,'hi',NULL,NULL);
INSERT INTO "messages" VALUES(2,2,1,'m_2',1,1700000000007,'to all',NULL,'a key');
INSERT INTO "messages" VALUES(4,1,2,'m_3',2,1700000000008,'it''s
two lines',NULL,'a key');
INSERT INTO "messages" VALUES(5,1,3,'m_4',2,1700000000009,'','f_1',NULL);
CREATE TABLE meta (
	"key" VARCHAR(32) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_meta PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('epoch','0123456789abcdef');
CREATE TABLE tokens (
	hash BLOB NOT NULL,
	user_id INTEGER NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL,
	CONSTRAINT pk_tokens PRIMARY KEY (hash),
	CONSTRAINT fk_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "tokens" VALUES(X'00FF10',1,1700000000002,1700000000003);
CREATE TABLE uploads (
	id VARCHAR(40) NOT NULL,
	user_id INTEGER NOT NULL,
	target VARCHAR(80) NOT NULL,
	name TEXT NOT NULL,
	size BIGINT NOT NULL,
	sha256 VARCHAR(64) NOT NULL,
	idempotency_key VARCHAR(64),
	touched BIGINT NOT NULL,
	CONSTRAINT pk_uploads PRIMARY KEY (id),
	CONSTRAINT fk_uploads_user_id FOREIGN KEY(user_id) REFERENCES users (id),
	CONSTRAINT uq_uploads_user_id_target_sha256 UNIQUE (user_id, target, sha256)
);
INSERT INTO "uploads" VALUES('u_1',1,'ana','half.bin',1000,'0000000000000000000000000000000000000000000000000000000000000000',NULL,1700000000010);
CREATE TABLE users (
	id INTEGER NOT NULL,
	name VARCHAR(32) NOT NULL,
	"key" VARCHAR(32) NOT NULL,
	real_name TEXT NOT NULL,
	country TEXT NOT NULL,
	password TEXT NOT NULL,
	admin BOOLEAN NOT NULL,
	created BIGINT NOT NULL,
	CONSTRAINT pk_users PRIMARY KEY (id),
	CONSTRAINT uq_users_key UNIQUE ("key")
);
INSERT INTO "users" VALUES(1,'Bob','bob','Bob Bobson','Costa Rica','$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA',1,1700000000000);
INSERT INTO "users" VALUES(2,'ana','ana','Ана "A" O''Hara','','x',0,1700000000001);
CREATE INDEX ix_tokens_user_id ON tokens (user_id);
CREATE INDEX ix_files_owner_id ON files (owner_id);
CREATE INDEX ix_files_sha256 ON files (sha256);
CREATE INDEX ix_members_user_id ON members (user_id);
CREATE UNIQUE INDEX ix_messages_sender_id_idempotency_key ON messages (sender_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
COMMIT;

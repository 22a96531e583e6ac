-- Cloakroom's tables in PostgreSQL, version 1.

CREATE TABLE IF NOT EXISTS cloakroom_schema (
    version BIGINT NOT NULL PRIMARY KEY
);

-- A session that ended keeps its row for ten minutes, without its content, to say why.
CREATE TABLE IF NOT EXISTS cloakroom_sessions (
    digest    BYTEA NOT NULL PRIMARY KEY, -- 16 bytes; no id can be made from them
    revision  BIGINT NOT NULL,
    session   BYTEA,                      -- NULL: it has ended
    user_name TEXT COLLATE "C",           -- NULL: nobody has signed in
    last_seen BIGINT NOT NULL,            -- milliseconds since 1970
    expires   BIGINT NOT NULL,            -- milliseconds since 1970
    reason    TEXT,                       -- why it ended
    follower  BYTEA                       -- as which session it goes on
);

CREATE INDEX IF NOT EXISTS cloakroom_sessions_of_user
    ON cloakroom_sessions (user_name) WHERE user_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS cloakroom_sessions_expiring ON cloakroom_sessions (expires);

INSERT INTO cloakroom_schema (version) VALUES (1) ON CONFLICT DO NOTHING;

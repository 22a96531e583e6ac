-- Cloakroom's tables in SQLite, version 1.

CREATE TABLE IF NOT EXISTS cloakroom_schema (
    version INTEGER NOT NULL PRIMARY KEY
) STRICT;

-- A session that ended keeps its row for ten minutes, without its content, to say why.
CREATE TABLE IF NOT EXISTS cloakroom_sessions (
    digest    BLOB NOT NULL PRIMARY KEY,  -- 16 bytes; no id can be made from them
    revision  INTEGER NOT NULL,
    session   BLOB,                       -- NULL: it has ended
    user_name TEXT,                       -- NULL: nobody has signed in
    last_seen INTEGER NOT NULL,           -- milliseconds since 1970
    expires   INTEGER NOT NULL,           -- milliseconds since 1970
    reason    TEXT,                       -- why it ended
    follower  BLOB                        -- as which session it goes on
) STRICT;

CREATE INDEX IF NOT EXISTS cloakroom_sessions_of_user
    ON cloakroom_sessions (user_name) WHERE user_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS cloakroom_sessions_expiring ON cloakroom_sessions (expires);

-- What the gateways tell each other; kept for five minutes.
CREATE TABLE IF NOT EXISTS cloakroom_news (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL,
    reason TEXT,                          -- NULL: it was written
    sender INTEGER NOT NULL,
    told   INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

INSERT INTO cloakroom_schema (version) VALUES (1) ON CONFLICT DO NOTHING;

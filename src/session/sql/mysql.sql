-- Cloakroom's tables in MySQL and MariaDB, version 1.

CREATE TABLE IF NOT EXISTS cloakroom_schema (
    version BIGINT NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

-- A session that ended keeps its row for ten minutes, without its content, to say why.
CREATE TABLE IF NOT EXISTS cloakroom_sessions (
    digest    BINARY(16) NOT NULL PRIMARY KEY,  -- no id can be made from it
    revision  BIGINT NOT NULL,
    session   MEDIUMBLOB,                       -- NULL: it has ended
    user_name VARBINARY(256),                   -- UTF-8; NULL: nobody has signed in
    last_seen BIGINT NOT NULL,                  -- milliseconds since 1970
    expires   BIGINT NOT NULL,                  -- milliseconds since 1970
    reason    VARCHAR(32) CHARACTER SET ascii,  -- why it ended
    follower  BINARY(16),                       -- as which session it goes on
    INDEX cloakroom_sessions_of_user (user_name),
    INDEX cloakroom_sessions_expiring (expires)
) ENGINE = InnoDB;

-- What the gateways tell each other; kept for five minutes.
CREATE TABLE IF NOT EXISTS cloakroom_news (
    id     BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    digest BINARY(16) NOT NULL,
    reason VARCHAR(32) CHARACTER SET ascii,     -- NULL: it was written
    sender BIGINT NOT NULL,
    told   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB;

INSERT IGNORE INTO cloakroom_schema (version) VALUES (1);

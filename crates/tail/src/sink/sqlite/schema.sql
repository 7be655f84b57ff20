CREATE TABLE events (
    -- The order in which the events came.
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    -- NULL if the event has no id. SQLite takes any number of them for different ones.
    event_id TEXT,
    event_type TEXT,
    -- In UTC, such as 2026-01-31T08:00:00Z.
    created_at TEXT,
    -- Box's own JSON.
    json TEXT NOT NULL,
    received_at TEXT NOT NULL,
    UNIQUE (account, event_id)
);

CREATE INDEX events_by_time ON events (created_at);
CREATE INDEX events_by_type ON events (event_type, created_at);

-- The events with the values that people look for.
CREATE VIEW readable_events AS
SELECT
    number,
    account,
    created_at,
    event_type,
    json_extract(json, '$.created_by.name') AS user_name,
    json_extract(json, '$.created_by.login') AS user_login,
    json_extract(json, '$.source.type') AS source_type,
    json_extract(json, '$.source.name') AS source_name,
    json_extract(json, '$.ip_address') AS ip_address,
    event_id
FROM (
    SELECT number, account, created_at, event_type, event_id,
        CASE WHEN json_valid(json) THEN json ELSE '{}' END AS json
    FROM events
);

-- The position of each account, moved in the transactions that store its events.
CREATE TABLE checkpoints (
    account TEXT PRIMARY KEY,
    json TEXT NOT NULL
) WITHOUT ROWID;

-- The hashes of the ids of an enterprise's past events, in parts. Each has the number of those
-- before it.
CREATE TABLE checkpoint_ids (
    account TEXT NOT NULL,
    after INTEGER NOT NULL,
    ids BLOB NOT NULL,
    PRIMARY KEY (account, after)
) WITHOUT ROWID;

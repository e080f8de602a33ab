-- Who is known. The pseudonym is a uint64 kept as the signed integer of the same bits. Without
-- a rowid, since the inner pages of a rowid tree keep the keys of rows that were deleted.
CREATE TABLE users (
    pseudonym INTEGER NOT NULL PRIMARY KEY,
    user_index INTEGER NOT NULL UNIQUE CHECK (user_index BETWEEN 0 AND 4294967295)
) STRICT, WITHOUT ROWID;

-- The next index that nobody has had.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('next_user_index', 0);

-- Who was active on a day (an ordinal): one serialised Roaring bitmap of absolute indices for
-- each shard of 65,536 of them, never an empty one.
CREATE TABLE membership (
    day INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    bitmap BLOB NOT NULL,
    PRIMARY KEY (day, shard)
) STRICT, WITHOUT ROWID;

CREATE INDEX membership_by_shard ON membership (shard, day);

-- No index by day: it would keep each pseudonym a second time.
CREATE TABLE tombstones (
    pseudonym INTEGER NOT NULL PRIMARY KEY,
    erased_on INTEGER NOT NULL,
    recorded_on INTEGER NOT NULL,
    user_index INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    sequence INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    metric TEXT NOT NULL,
    period TEXT NOT NULL,
    subject TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    charge TEXT,
    body TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (kind, subject)
) STRICT;

CREATE INDEX ledger_by_period ON ledger (metric, period);

CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_is_never_shortened BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

-- An INSERT OR REPLACE would remove a row without firing the trigger above, so this one looks
-- for the row that would go.
CREATE TRIGGER ledger_only_grows BEFORE INSERT ON ledger
WHEN new.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM ledger)
    OR EXISTS (SELECT 1 FROM ledger WHERE kind = new.kind AND subject = new.subject)
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TABLE series_state (
    metric TEXT NOT NULL,
    window_days INTEGER NOT NULL,
    period TEXT NOT NULL,
    totals TEXT NOT NULL,
    limiter BLOB,
    PRIMARY KEY (metric, window_days, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE erasures (
    erasure_id TEXT NOT NULL PRIMARY KEY,
    requested_at TEXT NOT NULL,
    completed_at TEXT,
    users INTEGER NOT NULL,
    days_touched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX erasures_unfinished ON erasures (requested_at) WHERE completed_at IS NULL;

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

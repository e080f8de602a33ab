-- Blobs that are overwritten in place: whatever tells of a person is in one of them, since rows
-- that move leave copies of themselves behind.
CREATE TABLE cells (
    cell INTEGER NOT NULL PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- Cells that hold zeros and wait for other content.
CREATE TABLE free_cells (
    capacity INTEGER NOT NULL,
    cell INTEGER NOT NULL,
    PRIMARY KEY (capacity, cell)
) STRICT, WITHOUT ROWID;

-- Who is known and who was erased: records of a fixed size, 4,096 to a page; no cell if all of
-- them are zeros.
CREATE TABLE pages (
    kind TEXT NOT NULL,
    page INTEGER NOT NULL,
    cell INTEGER,
    capacity INTEGER,
    generation INTEGER NOT NULL,
    PRIMARY KEY (kind, page)
) STRICT, WITHOUT ROWID;

-- Who was active on a day (an ordinal): one serialised Roaring bitmap of absolute indices for
-- each shard of 65,536 of them.
CREATE TABLE shards (
    day INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    cell INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    PRIMARY KEY (day, shard)
) STRICT, WITHOUT ROWID;

CREATE INDEX shards_by_number ON shards (shard, day);

-- The totals and the limiter of running series.
CREATE TABLE series (
    metric TEXT NOT NULL,
    window_days INTEGER NOT NULL,
    period TEXT NOT NULL,
    cell INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    PRIMARY KEY (metric, window_days, period)
) STRICT, WITHOUT ROWID;

-- Counts the transactions that changed users, tombstones or membership.
INSERT INTO counters (name, value) VALUES ('generation', 0), ('next_tombstone', 0);

ALTER TABLE erasures RENAME TO former_erasures;

CREATE TABLE erasures (
    erasure_id TEXT NOT NULL PRIMARY KEY,
    requested_at TEXT NOT NULL,
    request_key TEXT UNIQUE,
    is_finished INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO erasures (erasure_id, requested_at, is_finished, body)
SELECT
    erasure_id,
    requested_at,
    completed_at IS NOT NULL,
    json_object(
        'erasure_id', erasure_id,
        'requested_at', requested_at,
        'completed_at', completed_at,
        'users', users,
        'days_touched', days_touched
    )
FROM former_erasures;

DROP TABLE former_erasures;

CREATE INDEX erasures_waiting ON erasures (requested_at) WHERE NOT is_finished;

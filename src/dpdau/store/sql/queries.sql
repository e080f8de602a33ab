-- Each query stands under its name. Lists travel as JSON, whose `key` is the position.

-- pin_snapshot --
SELECT 1 FROM sqlite_schema LIMIT 1;

-- user_indices --
SELECT wanted.key, users.user_index
FROM json_each(:pseudonyms) AS wanted
CROSS JOIN users ON users.pseudonym = wanted.value;

-- insert_users --
INSERT INTO users (pseudonym, user_index)
SELECT value, key + :first_index FROM json_each(:pseudonyms);

-- delete_users --
DELETE FROM users WHERE pseudonym IN (SELECT value FROM json_each(:pseudonyms));

-- take_user_indices --
UPDATE counters SET value = value + :count WHERE name = 'next_user_index'
RETURNING value - :count;

-- members --
SELECT day, bitmap FROM membership WHERE day BETWEEN :first_day AND :last_day;

-- shards_of_day --
SELECT shard, bitmap FROM membership
WHERE day = :day AND shard IN (SELECT value FROM json_each(:shards));

-- days_of_shards --
SELECT day, bitmap FROM membership
WHERE shard IN (SELECT value FROM json_each(:shards))
ORDER BY day;

-- put_shard --
INSERT INTO membership (day, shard, bitmap) VALUES (:day, :shard, :bitmap)
ON CONFLICT (day, shard) DO UPDATE SET bitmap = excluded.bitmap;

-- delete_shard --
DELETE FROM membership WHERE day = :day AND shard = :shard;

-- drop_membership --
DELETE FROM membership WHERE day < :day;

-- tombstones --
SELECT
    tombstones.pseudonym, tombstones.erased_on, tombstones.recorded_on, tombstones.user_index
FROM json_each(:pseudonyms) AS wanted
CROSS JOIN tombstones ON tombstones.pseudonym = wanted.value;

-- put_tombstone --
INSERT INTO tombstones (pseudonym, erased_on, recorded_on, user_index)
VALUES (:pseudonym, :erased_on, :recorded_on, :user_index)
ON CONFLICT (pseudonym) DO UPDATE
SET
    erased_on = excluded.erased_on,
    recorded_on = excluded.recorded_on,
    user_index = excluded.user_index;

-- drop_tombstones --
DELETE FROM tombstones WHERE recorded_on < :day;

-- ledger --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
WHERE (:metric IS NULL OR metric = :metric)
    AND (:period IS NULL OR period = :period)
    AND (:kind IS NULL OR kind = :kind)
    AND sequence > :after
ORDER BY sequence;

-- ledger_of_period --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
WHERE metric = :metric AND period = :period AND (:kind IS NULL OR kind = :kind)
    AND sequence > :after
ORDER BY sequence;

-- ledger_row --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
WHERE kind = :kind AND subject = :subject;

-- ledger_head --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
ORDER BY sequence DESC
LIMIT 1;

-- append_ledger --
INSERT INTO ledger (
    sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
) VALUES (
    :sequence, :kind, :metric, :period, :subject, :recorded_at, :charge, :body, :previous_hash,
    :hash
);

-- series_state --
SELECT totals, limiter FROM series_state
WHERE metric = :metric AND window_days = :window_days AND period = :period;

-- series_keys --
SELECT metric, window_days, period FROM series_state ORDER BY metric, window_days, period;

-- put_series_state --
INSERT INTO series_state (metric, window_days, period, totals, limiter)
VALUES (:metric, :window_days, :period, :totals, :limiter)
ON CONFLICT (metric, window_days, period) DO UPDATE
SET totals = excluded.totals, limiter = excluded.limiter;

-- drop_series_state --
DELETE FROM series_state
WHERE metric = :metric AND window_days = :window_days AND period = :period;

-- erasure --
SELECT erasure_id, requested_at, completed_at, users, days_touched FROM erasures
WHERE erasure_id = :erasure_id;

-- unfinished_erasures --
SELECT erasure_id, requested_at, completed_at, users, days_touched FROM erasures
WHERE completed_at IS NULL
ORDER BY requested_at, erasure_id;

-- put_erasure --
INSERT INTO erasures (erasure_id, requested_at, completed_at, users, days_touched)
VALUES (:erasure_id, :requested_at, :completed_at, :users, :days_touched)
ON CONFLICT (erasure_id) DO UPDATE
SET requested_at = excluded.requested_at,
    completed_at = excluded.completed_at,
    users = excluded.users,
    days_touched = excluded.days_touched;

-- meta --
SELECT value FROM meta WHERE name = :name;

-- put_meta --
INSERT INTO meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

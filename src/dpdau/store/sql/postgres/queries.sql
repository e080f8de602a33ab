-- Each query stands under its name. Lists travel as arrays.

-- version --
SELECT version FROM schema_version;

-- take_turn_shared --
LOCK TABLE turns IN SHARE MODE;

-- take_turn_alone --
LOCK TABLE turns IN EXCLUSIVE MODE;

-- user_indices --
SELECT pseudonym, user_index FROM users WHERE pseudonym = ANY (%(pseudonyms)s::bigint[]);

-- known_users --
COPY users (user_index) TO STDOUT (FORMAT binary);

-- pseudonyms_of --
SELECT user_index, pseudonym FROM users WHERE user_index = ANY (%(user_indices)s::bigint[]);

-- index_bound --
SELECT last_value + is_called::integer FROM user_indices;

-- raise_index_bound --
SELECT setval('user_indices', greatest(%(bound)s, last_value + is_called::integer), false)
FROM user_indices;

-- take_indices --
SELECT nextval('user_indices') FROM generate_series(1, %(count)s);

-- put_users --
INSERT INTO users (pseudonym, user_index)
SELECT pseudonym, user_index
FROM unnest(%(pseudonyms)s::bigint[], %(user_indices)s::bigint[]) AS given (pseudonym, user_index)
ORDER BY pseudonym
ON CONFLICT (pseudonym) DO NOTHING;

-- forget_users --
DELETE FROM users WHERE pseudonym = ANY (%(pseudonyms)s::bigint[]);

-- rename_users --
UPDATE users SET pseudonym = given.new
FROM unnest(%(old)s::bigint[], %(new)s::bigint[]) AS given (old, new)
WHERE pseudonym = given.old;

-- forget_tombstones --
DELETE FROM tombstones WHERE pseudonym = ANY (%(pseudonyms)s::bigint[]);

-- tombstones --
SELECT pseudonym, erased_on, recorded_on, user_index FROM tombstones;

-- some_tombstones --
SELECT pseudonym, erased_on, recorded_on, user_index
FROM tombstones
WHERE pseudonym = ANY (%(pseudonyms)s::bigint[]);

-- put_tombstones --
INSERT INTO tombstones (pseudonym, erased_on, recorded_on, user_index)
SELECT *
FROM unnest(
    %(pseudonyms)s::bigint[],
    %(erased_on)s::integer[],
    %(recorded_on)s::integer[],
    %(user_indices)s::bigint[]
)
ON CONFLICT (pseudonym) DO UPDATE
SET erased_on = excluded.erased_on,
    recorded_on = excluded.recorded_on,
    user_index = excluded.user_index;

-- drop_tombstones --
DELETE FROM tombstones WHERE recorded_on < %(day)s;

-- days --
SELECT DISTINCT day FROM membership WHERE day BETWEEN %(first_day)s AND %(last_day)s ORDER BY day;

-- shards_of_day --
SELECT shard, bitmap FROM membership WHERE day = %(day)s;

-- days_of_shard --
SELECT day, bitmap FROM membership
WHERE shard = %(shard)s AND day BETWEEN %(first_day)s AND %(last_day)s;

-- add_shards --
INSERT INTO membership (day, shard, bitmap)
SELECT %(day)s, shard, %(nobody)s FROM unnest(%(shards)s::integer[]) AS given (shard)
ORDER BY shard
ON CONFLICT (day, shard) DO NOTHING;

-- lock_shards --
SELECT shard, bitmap FROM membership
WHERE day = %(day)s AND shard = ANY (%(shards)s::integer[])
ORDER BY shard
FOR UPDATE;

-- write_shards --
UPDATE membership SET bitmap = given.bitmap
FROM unnest(%(shards)s::integer[], %(bitmaps)s::bytea[]) AS given (shard, bitmap)
WHERE membership.day = %(day)s AND membership.shard = given.shard;

-- drop_days --
DELETE FROM membership WHERE day >= %(first_day)s AND day < %(day)s;

-- ledger --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
WHERE (%(metric)s::text IS NULL OR metric = %(metric)s)
    AND (%(period)s::text IS NULL OR period = %(period)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND sequence > %(after)s
ORDER BY sequence;

-- ledger_row --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
WHERE kind = %(kind)s AND subject = %(subject)s;

-- ledger_head --
SELECT sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
FROM ledger
ORDER BY sequence DESC
LIMIT 1;

-- append_ledger --
INSERT INTO ledger (
    sequence, kind, metric, period, subject, recorded_at, charge, body, previous_hash, hash
) VALUES (
    %(sequence)s, %(kind)s, %(metric)s, %(period)s, %(subject)s, %(recorded_at)s, %(charge)s,
    %(body)s, %(previous_hash)s, %(hash)s
);

-- series_state --
SELECT state FROM series
WHERE metric = %(metric)s AND window_days = %(window_days)s AND period = %(period)s;

-- series_keys --
SELECT metric, window_days, period FROM series ORDER BY metric, window_days, period;

-- put_series_state --
INSERT INTO series (metric, window_days, period, state)
VALUES (%(metric)s, %(window_days)s, %(period)s, %(state)s)
ON CONFLICT (metric, window_days, period) DO UPDATE SET state = excluded.state;

-- drop_series_state --
DELETE FROM series
WHERE metric = %(metric)s AND window_days = %(window_days)s AND period = %(period)s;

-- erasure --
SELECT body FROM erasures WHERE erasure_id = %(erasure_id)s;

-- erasure_of --
SELECT body FROM erasures WHERE request_key = %(request_key)s;

-- erasures --
SELECT body FROM erasures ORDER BY requested_at, erasure_id;

-- newest_erasures --
SELECT body FROM erasures ORDER BY requested_at DESC, erasure_id DESC LIMIT %(count)s;

-- unfinished_erasures --
SELECT body FROM erasures WHERE NOT is_finished ORDER BY requested_at, erasure_id;

-- put_erasure --
INSERT INTO erasures (erasure_id, requested_at, request_key, is_finished, body)
VALUES (%(erasure_id)s, %(requested_at)s, %(request_key)s, %(is_finished)s, %(body)s)
ON CONFLICT (erasure_id) DO UPDATE
SET requested_at = excluded.requested_at,
    request_key = excluded.request_key,
    is_finished = excluded.is_finished,
    body = excluded.body;

-- requests_before --
SELECT body FROM erasures WHERE request_key IS NOT NULL AND requested_at < %(day)s;

-- meta --
SELECT value FROM meta WHERE name = %(name)s;

-- metas --
SELECT name, value FROM meta;

-- put_meta --
INSERT INTO meta (name, value) VALUES (%(name)s, %(value)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

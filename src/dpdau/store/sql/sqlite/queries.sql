-- Each query stands under its name. Lists travel as JSON, whose `key` is the position.

-- generation --
SELECT value FROM counters WHERE name = 'generation';

-- put_generation --
UPDATE counters SET value = :generation WHERE name = 'generation';

-- take_numbers --
UPDATE counters SET value = value + :count WHERE name = :name
RETURNING value - :count;

-- next_number --
SELECT value FROM counters WHERE name = :name;

-- raise_number --
UPDATE counters SET value = max(value, :bound) WHERE name = :name;

-- add_cell --
INSERT INTO cells (content) VALUES (:content) RETURNING cell;

-- write_cell --
UPDATE cells SET content = :content WHERE cell = :cell;

-- write_cells --
UPDATE cells
SET content = substr(
    :contents, json_extract(places.value, '$[1]'), json_extract(places.value, '$[2]')
)
FROM json_each(:places) AS places
WHERE cells.cell = json_extract(places.value, '$[0]');

-- free_cell --
INSERT INTO free_cells (capacity, cell) VALUES (:capacity, :cell);

-- take_free_cell --
DELETE FROM free_cells
WHERE capacity = :capacity
    AND cell = (SELECT min(cell) FROM free_cells WHERE capacity = :capacity)
RETURNING cell;

-- pages --
SELECT pages.page, cells.content
FROM pages LEFT JOIN cells ON cells.cell = pages.cell
WHERE pages.kind = :kind AND pages.generation > :generation;

-- last_page --
SELECT max(page) FROM pages WHERE kind = :kind;

-- some_pages --
SELECT wanted.key, pages.cell, pages.capacity, cells.content
FROM json_each(:pages) AS wanted
CROSS JOIN pages ON pages.kind = :kind AND pages.page = wanted.value
LEFT JOIN cells ON cells.cell = pages.cell;

-- put_pages --
INSERT INTO pages (kind, page, cell, capacity, generation)
SELECT
    :kind,
    json_extract(value, '$[0]'),
    json_extract(value, '$[1]'),
    json_extract(value, '$[2]'),
    :generation
FROM json_each(:places) WHERE true
ON CONFLICT (kind, page) DO UPDATE
SET cell = excluded.cell, capacity = excluded.capacity, generation = excluded.generation;

-- all_days --
SELECT DISTINCT day FROM shards WHERE day > :outdated ORDER BY day;

-- newest_day --
SELECT max(day) FROM shards;

-- shards_of_days --
SELECT shards.day, shards.shard, cells.content
FROM shards CROSS JOIN cells ON cells.cell = shards.cell
WHERE shards.day BETWEEN :first_day AND :last_day;

-- some_shards --
SELECT shards.shard, cells.content
FROM json_each(:shards) AS wanted
CROSS JOIN shards ON shards.day = :day AND shards.shard = wanted.value
CROSS JOIN cells ON cells.cell = shards.cell;

-- days_of_shard --
SELECT day FROM shards WHERE shard = :shard ORDER BY day;

-- some_days --
SELECT shards.day, cells.content
FROM json_each(:days) AS wanted
CROSS JOIN shards ON shards.day = wanted.value AND shards.shard = :shard
CROSS JOIN cells ON cells.cell = shards.cell;

-- places_of_shards --
SELECT shards.shard, shards.cell, shards.capacity
FROM json_each(:shards) AS wanted
CROSS JOIN shards ON shards.day = :day AND shards.shard = wanted.value;

-- put_shard --
INSERT INTO shards (day, shard, cell, capacity) VALUES (:day, :shard, :cell, :capacity)
ON CONFLICT (day, shard) DO UPDATE SET cell = excluded.cell, capacity = excluded.capacity;

-- drop_shards --
DELETE FROM shards WHERE day >= :first_day AND day < :day RETURNING cell, capacity;

-- deltas --
SELECT deltas.cell, deltas.capacity, cells.content
FROM deltas CROSS JOIN cells ON cells.cell = deltas.cell
ORDER BY deltas.delta;

-- add_delta --
INSERT INTO deltas (cell, capacity) VALUES (:cell, :capacity);

-- drop_deltas --
DELETE FROM deltas RETURNING cell, capacity;

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
SELECT cells.content
FROM series CROSS JOIN cells ON cells.cell = series.cell
WHERE series.metric = :metric
    AND series.window_days = :window_days
    AND series.period = :period;

-- series_keys --
SELECT metric, window_days, period FROM series ORDER BY metric, window_days, period;

-- series_place --
SELECT cell, capacity FROM series
WHERE metric = :metric AND window_days = :window_days AND period = :period;

-- put_series_place --
INSERT INTO series (metric, window_days, period, cell, capacity)
VALUES (:metric, :window_days, :period, :cell, :capacity)
ON CONFLICT (metric, window_days, period) DO UPDATE
SET cell = excluded.cell, capacity = excluded.capacity;

-- drop_series_place --
DELETE FROM series
WHERE metric = :metric AND window_days = :window_days AND period = :period;

-- erasure --
SELECT body FROM erasures WHERE erasure_id = :erasure_id;

-- erasure_of --
SELECT body FROM erasures WHERE request_key = :request_key;

-- erasures --
SELECT body FROM erasures ORDER BY requested_at, erasure_id;

-- newest_erasures --
SELECT body FROM erasures ORDER BY requested_at DESC, erasure_id DESC LIMIT :count;

-- unfinished_erasures --
SELECT body FROM erasures WHERE NOT is_finished ORDER BY requested_at, erasure_id;

-- put_erasure --
INSERT INTO erasures (erasure_id, requested_at, request_key, is_finished, body)
VALUES (:erasure_id, :requested_at, :request_key, :is_finished, :body)
ON CONFLICT (erasure_id) DO UPDATE
SET requested_at = excluded.requested_at,
    request_key = excluded.request_key,
    is_finished = excluded.is_finished,
    body = excluded.body;

-- forget_requests --
UPDATE erasures
SET request_key = NULL, body = json_remove(body, '$.request_key', '$.request_digest')
WHERE request_key IS NOT NULL AND requested_at < :day;

-- meta --
SELECT value FROM meta WHERE name = :name;

-- metas --
SELECT name, value FROM meta;

-- put_meta --
INSERT INTO meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

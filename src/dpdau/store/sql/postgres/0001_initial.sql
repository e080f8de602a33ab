-- Who is known. The pseudonym is a uint64 kept as the signed integer of the same bits.
CREATE TABLE users (
    pseudonym bigint PRIMARY KEY,
    user_index bigint NOT NULL UNIQUE CHECK (user_index BETWEEN 0 AND 4294967294)
);

-- The next index that nobody has had. A sequence waits for no other transaction; what one that
-- is undone took is never given out.
CREATE SEQUENCE user_indices MINVALUE 0 MAXVALUE 4294967294 START 0;

-- Who was active on a day (an ordinal): one serialised Roaring bitmap of absolute indices for
-- each shard of 65,536 of them, which may be empty. They hardly compress any further.
CREATE TABLE membership (
    day integer NOT NULL,
    shard integer NOT NULL,
    bitmap bytea NOT NULL,
    PRIMARY KEY (day, shard)
);

ALTER TABLE membership ALTER bitmap SET STORAGE EXTERNAL;

CREATE INDEX membership_by_shard ON membership (shard, day);

CREATE TABLE tombstones (
    pseudonym bigint PRIMARY KEY,
    erased_on integer NOT NULL,
    recorded_on integer NOT NULL,
    user_index bigint NOT NULL
);

CREATE TABLE ledger (
    sequence bigint PRIMARY KEY,
    kind text NOT NULL,
    metric text NOT NULL,
    period text NOT NULL,
    subject text NOT NULL,
    recorded_at text NOT NULL,
    charge text,
    body text NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL,
    UNIQUE (kind, subject)
);

CREATE INDEX ledger_by_period ON ledger (metric, period);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END $$;

CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE OR DELETE ON ledger
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER ledger_is_never_emptied BEFORE TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION require_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM ledger) THEN
        RAISE EXCEPTION 'the ledger has no gaps';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER ledger_has_no_gaps BEFORE INSERT ON ledger
FOR EACH ROW EXECUTE FUNCTION require_next();

-- The totals and the limiter of running series.
CREATE TABLE series (
    metric text NOT NULL,
    window_days integer NOT NULL,
    period text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (metric, window_days, period)
);

CREATE TABLE erasures (
    erasure_id text PRIMARY KEY,
    requested_at text NOT NULL,
    request_key text UNIQUE,
    is_finished boolean NOT NULL,
    body text NOT NULL
);

CREATE INDEX erasures_by_age ON erasures (requested_at, erasure_id);
CREATE INDEX erasures_waiting ON erasures (requested_at) WHERE NOT is_finished;

CREATE TABLE meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- Whose turn it is: transactions lock this table, which stays empty. Those that only ingest hold
-- it in SHARE mode, side by side; all others in EXCLUSIVE mode, alone.
CREATE TABLE turns ();

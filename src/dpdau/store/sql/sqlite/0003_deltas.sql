-- What recent transactions changed of who was active, until it is merged into the shards: one cell
-- a transaction, in order.
CREATE TABLE deltas (
    delta INTEGER NOT NULL PRIMARY KEY,
    cell INTEGER NOT NULL,
    capacity INTEGER NOT NULL
) STRICT;

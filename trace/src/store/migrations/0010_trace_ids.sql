-- Numbers of traces by their ids. Ids are random: in one list, each new trace changes another page of it, and with millions of traces
-- that was half of all that was written. New ids now go to a short list, and from there to the long one, many at a time and in order.
CREATE TABLE new_trace_ids (
    trace_id BLOB PRIMARY KEY,   -- 16 bytes
    trace    INTEGER NOT NULL    -- traces.id
) STRICT, WITHOUT ROWID;
CREATE TABLE trace_ids (
    trace_id BLOB PRIMARY KEY,
    trace    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO trace_ids SELECT trace_id, id FROM traces ORDER BY trace_id;

-- The same table without the list of its own. SQLite cannot take it away, and a new table cannot be given the name while views know it.
CREATE TABLE copied AS SELECT * FROM traces;
DROP TABLE traces;
CREATE TABLE traces (
    id          INTEGER PRIMARY KEY,
    trace_id    BLOB NOT NULL,      -- 16 bytes
    -- What its spans have in common, as the first of them that says it: spans that do not say it take it from here.
    workflow_id TEXT,
    session_id  TEXT,
    user_id     TEXT,
    tenant_id   TEXT,
    -- One bit for each of these four in their order: spans of the trace disagree, so that the others are told nothing.
    ambiguous   INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO traces SELECT id, trace_id, workflow_id, session_id, user_id, tenant_id, ambiguous FROM copied;
DROP TABLE copied;

-- The lists follow the traces, whoever deletes one.
CREATE TRIGGER trace_ids_go AFTER DELETE ON traces BEGIN
    DELETE FROM new_trace_ids WHERE trace_id = old.trace_id;
    DELETE FROM trace_ids WHERE trace_id = old.trace_id;
END;

CREATE VIEW trace_numbers AS
SELECT trace_id, trace FROM new_trace_ids
UNION ALL
SELECT trace_id, trace FROM trace_ids;

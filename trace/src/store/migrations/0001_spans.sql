-- Names of services, once each.
CREATE TABLE services (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL          -- newest span that refers to it; older than all spans: nobody does
) STRICT;

-- Sets of resource attributes as JSON, once each: {"attributes":{..},"dropped_attributes":n,"schema_url":".."}
CREATE TABLE resources (
    id        INTEGER PRIMARY KEY,
    body      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL
) STRICT;

-- Instrumentation scopes as JSON, once each.
CREATE TABLE scopes (
    id        INTEGER PRIMARY KEY,
    body      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL
) STRICT;

-- Which operations each service has had, so that the list needs no walk over the spans.
CREATE TABLE operations (
    id        INTEGER PRIMARY KEY,
    service   TEXT NOT NULL,
    name      TEXT NOT NULL,
    kind      INTEGER NOT NULL,
    last_span INTEGER NOT NULL,
    UNIQUE (service, name, kind)
) STRICT;

-- Traces by number. Their ids are random, their numbers rise with time: what is sorted by number grows at its end.
CREATE TABLE traces (
    id       INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE        -- 16 bytes
) STRICT;

-- All of a span. Ids rise in the order of arrival. Small columns first: a search reads them without the large ones.
CREATE TABLE spans (
    id                 INTEGER PRIMARY KEY,
    trace              INTEGER NOT NULL, -- traces.id
    trace_id           BLOB NOT NULL,    -- 16 bytes
    span_id            BLOB NOT NULL,    -- 8 bytes
    parent_span_id     BLOB,             -- NULL: a root
    received_ms        INTEGER NOT NULL, -- ms since the Unix epoch
    service_id         INTEGER NOT NULL,
    resource_id        INTEGER NOT NULL,
    scope_id           INTEGER NOT NULL,
    kind               INTEGER NOT NULL, -- OTLP: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    start_ns           INTEGER NOT NULL, -- ns since the Unix epoch
    end_ns             INTEGER NOT NULL,
    status             INTEGER NOT NULL, -- 0 unset, 1 ok, 2 error
    flags              INTEGER NOT NULL,
    name               TEXT NOT NULL,
    agent_id           TEXT,
    workflow_id        TEXT,
    session_id         TEXT,
    user_id            TEXT,
    tenant_id          TEXT,
    thread_id          TEXT,
    status_message     TEXT,
    trace_state        TEXT,
    dropped_attributes INTEGER NOT NULL,
    dropped_events     INTEGER NOT NULL,
    dropped_links      INTEGER NOT NULL,
    attributes         TEXT NOT NULL,    -- JSON object
    events             TEXT,             -- JSON list
    links              TEXT              -- JSON list
) STRICT;

-- One span once, and all spans of a trace together.
CREATE UNIQUE INDEX spans_by_trace ON spans (trace, span_id);
-- Searches walk one of these from the newest end. They grow near their end, so they are cheap to keep.
CREATE INDEX spans_by_start ON spans (start_ns);
CREATE INDEX spans_by_service ON spans (service_id, start_ns);
CREATE INDEX spans_by_agent ON spans (agent_id, start_ns) WHERE agent_id IS NOT NULL;
CREATE INDEX spans_by_workflow ON spans (workflow_id, start_ns) WHERE workflow_id IS NOT NULL;
CREATE INDEX spans_by_session ON spans (session_id, start_ns) WHERE session_id IS NOT NULL;
CREATE INDEX spans_by_user ON spans (user_id, start_ns) WHERE user_id IS NOT NULL;
CREATE INDEX spans_by_tenant ON spans (tenant_id, start_ns) WHERE tenant_id IS NOT NULL;
CREATE INDEX spans_by_thread ON spans (thread_id, start_ns) WHERE thread_id IS NOT NULL;
CREATE INDEX spans_with_error ON spans (start_ns) WHERE status = 2;

-- How far the spool has been indexed; written in the transaction that stores the spans.
CREATE TABLE spool_position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    segment  INTEGER NOT NULL,
    byte     INTEGER NOT NULL
) STRICT;
INSERT INTO spool_position VALUES (1, 0, 0);

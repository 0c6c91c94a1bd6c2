-- Figures of model calls and handlers, one row for each such span. NULL: nobody knows. docs/metrics.md explains each column.
CREATE TABLE measures (
    id                INTEGER PRIMARY KEY, -- spans.id
    trace             INTEGER NOT NULL,    -- traces.id
    kind              INTEGER NOT NULL,    -- 1 model call, 2 handler
    start_ns          INTEGER NOT NULL,
    duration_ns       INTEGER,
    status            INTEGER NOT NULL,
    agent_id          TEXT,
    workflow_id       TEXT,
    session_id        TEXT,
    user_id           TEXT,
    operation         TEXT,
    provider          TEXT,
    model             TEXT,
    ttft_ms           REAL,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    total_tokens      INTEGER,
    cost_usd          REAL,
    phases            TEXT                 -- JSON object, ms by name_ms
) STRICT;
CREATE INDEX measures_by_start ON measures (start_ns);
CREATE INDEX measures_by_agent ON measures (agent_id, start_ns) WHERE agent_id IS NOT NULL;
CREATE INDEX measures_by_workflow ON measures (workflow_id, start_ns) WHERE workflow_id IS NOT NULL;

-- The table follows the spans, whoever changes them: a stand-in that yields, a value that is known later, retention.
CREATE TRIGGER measures_go AFTER DELETE ON spans BEGIN
    DELETE FROM measures WHERE id = old.id;
END;
CREATE TRIGGER measures_are_completed AFTER UPDATE OF workflow_id, session_id, user_id ON spans BEGIN
    UPDATE measures SET workflow_id = new.workflow_id, session_id = new.session_id, user_id = new.user_id
    WHERE id = new.id;
END;

-- The same as people were promised it. Latency of the network: what the HTTP requests right below a call took longer than
-- their servers say; known only where every server is recorded too.
CREATE VIEW performance_metrics AS
SELECT
    metric_id, trace_id, span_id, user_id, agent_id, agent_name, workflow_id, session_id, operation, timestamp, start_ns,
    duration_ms, status, provider, model, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd,
    iif(kind = 1, duration_ms - coalesce(network_latency_ms, 0), NULL) AS model_latency_ms, network_latency_ms, phases
FROM (
    SELECT
        lower(hex(spans.span_id)) AS metric_id,
        lower(hex(spans.trace_id)) AS trace_id,
        lower(hex(spans.span_id)) AS span_id,
        measures.user_id AS user_id,
        measures.agent_id AS agent_id,
        coalesce(spans.attributes ->> '$."gen_ai.agent.name"', measures.agent_id) AS agent_name,
        measures.workflow_id AS workflow_id,
        measures.session_id AS session_id,
        operation,
        strftime('%Y-%m-%dT%H:%M:%fZ', measures.start_ns / 1e9, 'unixepoch') AS timestamp,
        measures.start_ns AS start_ns,
        duration_ns / 1e6 AS duration_ms,
        measures.status AS status,
        measures.kind AS kind,
        provider, model, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases,
        (
            SELECT iif(count(*) = count(server.id),
                       sum((client.end_ns - client.start_ns) - (server.end_ns - server.start_ns)) / 1e6, NULL)
            FROM spans AS client
            LEFT JOIN spans AS server
                ON server.trace = client.trace AND server.parent_span_id = client.span_id AND server.kind = 2
            WHERE measures.kind = 1 AND client.trace = measures.trace AND client.parent_span_id = spans.span_id
                AND client.kind = 3
                AND coalesce(client.attributes ->> '$."http.request.method"', client.attributes ->> '$."http.method"')
                    IS NOT NULL
        ) AS network_latency_ms
    FROM measures JOIN spans ON spans.id = measures.id
);

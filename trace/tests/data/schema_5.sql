PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE schema_version (
             version    INTEGER PRIMARY KEY,
             applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
         ) STRICT;
INSERT INTO schema_version VALUES(1,'2026-01-02 00:00:00');
INSERT INTO schema_version VALUES(2,'2026-01-02 00:00:00');
INSERT INTO schema_version VALUES(3,'2026-01-02 00:00:00');
INSERT INTO schema_version VALUES(4,'2026-01-02 00:00:00');
INSERT INTO schema_version VALUES(5,'2026-01-02 00:00:00');
CREATE TABLE services (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL          -- newest span that refers to it; older than all spans: nobody does
) STRICT;
INSERT INTO services VALUES(1,'loom',10);
INSERT INTO services VALUES(2,'agent-processor',9);
INSERT INTO services VALUES(3,'svc',9);
CREATE TABLE resources (
    id        INTEGER PRIMARY KEY,
    body      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL
) STRICT;
INSERT INTO resources VALUES(1,'{"attributes":{"service.name":"loom","service.instance.id":"1"},"dropped_attributes":0,"schema_url":""}',3);
INSERT INTO resources VALUES(2,'{"attributes":{"service.name":"loom","service.instance.id":"01a201c7-9663-771d-8a45-ca967e670f74","service.version":"0.1.0","telemetry.sdk.name":"loom","telemetry.sdk.language":"rust","telemetry.sdk.version":"0.1.0"},"dropped_attributes":0,"schema_url":"https://opentelemetry.io/schemas/1.44.0"}',10);
INSERT INTO resources VALUES(3,'{"attributes":{"service.name":"agent-processor","service.instance.id":"1"},"dropped_attributes":0,"schema_url":""}',9);
INSERT INTO resources VALUES(4,'{"attributes":{"service.name":"svc","service.instance.id":"1"},"dropped_attributes":0,"schema_url":""}',9);
CREATE TABLE scopes (
    id        INTEGER PRIMARY KEY,
    body      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL
) STRICT;
INSERT INTO scopes VALUES(1,'{"name":"loom","version":"1","attributes":{},"dropped_attributes":0,"schema_url":""}',9);
INSERT INTO scopes VALUES(2,'{"name":"loom","version":"0.1.0","attributes":{},"dropped_attributes":0,"schema_url":"https://opentelemetry.io/schemas/1.44.0"}',10);
INSERT INTO scopes VALUES(3,'{"name":"","version":"1","attributes":{},"dropped_attributes":0,"schema_url":""}',9);
CREATE TABLE operations (
    id        INTEGER PRIMARY KEY,
    service   TEXT NOT NULL,
    name      TEXT NOT NULL,
    kind      INTEGER NOT NULL,
    last_span INTEGER NOT NULL,
    UNIQUE (service, name, kind)
) STRICT;
INSERT INTO operations VALUES(1,'loom','bridge.publish',5,3);
INSERT INTO operations VALUES(2,'loom','EventBus.publish',4,3);
INSERT INTO operations VALUES(3,'loom','bridge.forward',4,3);
INSERT INTO operations VALUES(4,'loom','loom.start',1,4);
INSERT INTO operations VALUES(5,'agent-processor','sensor.emit_data',1,9);
INSERT INTO operations VALUES(6,'agent-processor','agent.on_event',5,9);
INSERT INTO operations VALUES(7,'agent-processor','chat gpt-4o-mini',3,9);
INSERT INTO operations VALUES(8,'agent-processor','save',1,9);
INSERT INTO operations VALUES(9,'svc','plain',2,9);
INSERT INTO operations VALUES(10,'loom','loom.stop',1,10);
CREATE TABLE traces (
    id       INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE        -- 16 bytes
, workflow_id TEXT, session_id TEXT, user_id TEXT, tenant_id TEXT, ambiguous INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO traces VALUES(1,X'0af7651916cd43dd8448eb211c80319c','analysis','s-1','u-1','acme',0);
INSERT INTO traces VALUES(2,X'9bcbff4a4484fe19b181567399532ce9',NULL,NULL,NULL,NULL,0);
INSERT INTO traces VALUES(3,X'4bf92f3577b34da6a3ce929d0e0e4736',NULL,NULL,NULL,NULL,0);
INSERT INTO traces VALUES(4,X'3c09da937d2f5c92b4398fc7cb668eef',NULL,NULL,NULL,NULL,0);
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
, created_at TEXT
    GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%S', received_ms / 1000, 'unixepoch')) VIRTUAL) STRICT;
INSERT INTO spans VALUES(1,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000002',X'0000000000000001',1795326187115,1,1,1,5,1767225600001000000,1767225600002000000,0,257,'bridge.publish','sensor','analysis','s-1','u-1','acme',NULL,NULL,NULL,0,0,0,'{"agent_id":"sensor","topic":"sensor.data","event_id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"0000000000000002","messaging.system":"loom","messaging.destination.name":"sensor.data","messaging.message.id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","messaging.operation.name":"publish","messaging.operation.type":"send","messaging.client.id":"sensor","messaging.message.body.size":256}',NULL,NULL);
INSERT INTO spans VALUES(2,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000003',X'0000000000000002',1795326187115,1,1,1,4,1767225600002000000,1767225600003000000,0,257,'EventBus.publish','sensor','analysis','s-1','u-1','acme',NULL,NULL,NULL,0,0,0,'{"agent_id":"sensor","topic":"sensor.data","event_id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"0000000000000003","messaging.system":"loom","messaging.destination.name":"sensor.data","messaging.message.id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","messaging.operation.name":"publish","messaging.operation.type":"send","messaging.client.id":"sensor","loom.bus.matched":1}',NULL,NULL);
INSERT INTO spans VALUES(3,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000004',X'0000000000000003',1795326187115,1,1,1,4,1767225600003000000,1767225600004000000,0,257,'bridge.forward','processor','analysis','s-1','u-1','acme',NULL,NULL,NULL,0,0,0,'{"agent_id":"processor","topic":"sensor.data","event_id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"0000000000000004","messaging.system":"loom","messaging.destination.name":"sensor.data","messaging.message.id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","messaging.operation.name":"forward","messaging.operation.type":"send","messaging.client.id":"sensor","messaging.destination.subscription.name":"sensor.>","messaging.message.delivery_attempt":1,"loom.queue.wait_us":812}',NULL,NULL);
INSERT INTO spans VALUES(4,2,X'9bcbff4a4484fe19b181567399532ce9',X'351ed84ae84851e7',NULL,1795326187307,1,2,2,1,1795326187083288446,1795326187107983608,0,257,'loom.start',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'{}',NULL,NULL);
INSERT INTO spans VALUES(5,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000001',NULL,1795326187719,2,3,1,1,1767225600000000000,1767225600005000000,0,257,'sensor.emit_data','sensor','analysis','s-1','u-1','acme',NULL,NULL,NULL,0,0,0,'{"agent.id":"sensor","topic":"sensor.data","tenant.id":"acme"}',NULL,NULL);
INSERT INTO spans VALUES(6,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000005',X'0000000000000004',1795326187719,2,3,1,5,1767225600005000000,1767225600050000000,0,257,'agent.on_event','processor','analysis','s-1','u-1','acme','th-1',NULL,NULL,0,0,0,'{"agent.id":"processor","workflow.id":"analysis","session.id":"s-1","user.id":"u-1","thread_id":"th-1","topic":"sensor.data","event.id":"01890f3e-7b4a-7cc2-98c9-00000000abcd","loom.phase.thinking_ms":12.5,"gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"The Processor"}','[{"time_ns":1767225600007000000,"name":"agent_thinking","attributes":{"loom.thought.size":12},"dropped_attributes":0}]','[{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"0000000000000001","trace_state":"","flags":0,"attributes":{"why":"joined"},"dropped_attributes":0}]');
INSERT INTO spans VALUES(7,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000006',X'0000000000000005',1795326187719,2,3,1,3,1767225600006000000,1767225600040000000,0,257,'chat gpt-4o-mini','processor','analysis','s-1','u-1','acme','th-1',NULL,NULL,0,0,0,'{"agent.id":"processor","workflow.id":"analysis","session.id":"s-1","user.id":"u-1","thread_id":"th-1","gen_ai.operation.name":"chat","gen_ai.provider.name":"openai","gen_ai.request.model":"gpt-4o-mini","gen_ai.usage.input_tokens":1000,"gen_ai.usage.output_tokens":500,"ratio":0.5,"ok":true,"list":[1,"two",3.0],"raw":{"$bytes":"AAE="},"nested":{"$map":{"$x":1}},"nothing":null}',NULL,NULL);
INSERT INTO spans VALUES(8,1,X'0af7651916cd43dd8448eb211c80319c',X'0000000000000007',X'0000000000000005',1795326187719,2,3,1,1,1767225600041000000,1767225600049000000,2,257,'save','processor','analysis','s-1','u-1','acme','th-1','it is full','a=b',2,0,0,'{"agent.id":"processor","workflow.id":"analysis","session.id":"s-1","user.id":"u-1","thread_id":"th-1","db.system.name":"postgresql"}','[{"time_ns":1767225600048000000,"name":"exception","attributes":{"exception.type":"IOError","exception.message":"full","exception.stacktrace":"at save\n  \"quoted\""},"dropped_attributes":0}]',NULL);
INSERT INTO spans VALUES(9,3,X'4bf92f3577b34da6a3ce929d0e0e4736',X'0000000000000001',NULL,1795326187720,3,4,3,2,1767225600000000000,1767225600009000000,0,257,'plain',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'{}',NULL,NULL);
INSERT INTO spans VALUES(10,4,X'3c09da937d2f5c92b4398fc7cb668eef',X'aeae87bea67dd583',NULL,1795326188721,1,2,2,1,1795326188721289510,1795326188721331408,0,257,'loom.stop',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,'{}',NULL,NULL);
CREATE TABLE spool_position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    segment  INTEGER NOT NULL,
    byte     INTEGER NOT NULL
) STRICT;
INSERT INTO spool_position VALUES(1,1,2552);
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
INSERT INTO measures VALUES(6,1,2,1767225600005000000,45000000,0,'processor','analysis','s-1','u-1','sensor.data',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"thinking_ms":12.5}');
INSERT INTO measures VALUES(7,1,1,1767225600006000000,34000000,0,'processor','analysis','s-1','u-1','chat','openai','gpt-4o-mini',NULL,1000,500,1500,0.00044999999999999998768,NULL);
CREATE UNIQUE INDEX spans_by_trace ON spans (trace, span_id);
CREATE INDEX spans_by_start ON spans (start_ns);
CREATE INDEX spans_by_service ON spans (service_id, start_ns);
CREATE INDEX spans_by_agent ON spans (agent_id, start_ns) WHERE agent_id IS NOT NULL;
CREATE INDEX spans_by_workflow ON spans (workflow_id, start_ns) WHERE workflow_id IS NOT NULL;
CREATE INDEX spans_by_session ON spans (session_id, start_ns) WHERE session_id IS NOT NULL;
CREATE INDEX spans_by_user ON spans (user_id, start_ns) WHERE user_id IS NOT NULL;
CREATE INDEX spans_by_tenant ON spans (tenant_id, start_ns) WHERE tenant_id IS NOT NULL;
CREATE INDEX spans_by_thread ON spans (thread_id, start_ns) WHERE thread_id IS NOT NULL;
CREATE INDEX spans_with_error ON spans (start_ns) WHERE status = 2;
CREATE VIEW executions AS
SELECT
    id,
    trace_id,
    span_id,
    parent_span_id,
    start_ns,
    end_ns,
    status,
    agent_id,
    workflow_id,
    user_id,
    thread_id,
    status_message,
    attributes,
    events,
    coalesce(attributes ->> '$."topic"', attributes ->> '$."loom.broker.capability"') AS operation,
    iif(status = 2, coalesce(attributes ->> '$."loom.execution.state"', 'FAILED'), 'COMPLETED') AS state
FROM spans
WHERE name IN ('agent.on_event', 'agent.on_action');
CREATE INDEX executions_by_start ON spans (start_ns, status, parent_span_id)
WHERE name IN ('agent.on_event', 'agent.on_action');
CREATE VIEW agent_executions AS
SELECT
    -- The span that handed it over: it is there also where no handler has come to its end.
    lower(hex(coalesce(parent_span_id, span_id))) AS execution_id,
    lower(hex(trace_id)) AS trace_id,
    lower(hex(parent_span_id)) AS parent_span_id,
    lower(hex(span_id)) AS span_id,
    attributes ->> '$."correlation_id"' AS correlation_id,
    user_id,
    thread_id,
    agent_id AS agent_name,
    operation,
    strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch') AS start_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', end_ns / 1e9, 'unixepoch') AS end_time,
    max(0, end_ns - start_ns) / 1e6 AS duration_ms,
    state,
    status_message AS error_message,
    attributes AS metadata
FROM executions
;
CREATE VIEW agent_events AS
SELECT
    lower(hex(span_id)) || '-started' AS event_id,
    lower(hex(trace_id)) AS trace_id,
    lower(hex(span_id)) AS span_id,
    user_id,
    'agent_started' AS event_type,
    strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch') AS timestamp,
    json_object('agent_name', agent_id) AS data
FROM executions
UNION ALL
SELECT
    lower(hex(span_id)) || '-' || event.key,
    lower(hex(trace_id)),
    lower(hex(span_id)),
    user_id,
    event.value ->> '$.name',
    strftime('%Y-%m-%dT%H:%M:%fZ', (event.value ->> '$.time_ns') / 1e9, 'unixepoch'),
    event.value -> '$.attributes'
FROM executions, json_each(executions.events) AS event
WHERE event.value ->> '$.name' IN ('agent_thinking', 'tool_executing', 'tool_completed')
UNION ALL
SELECT
    lower(hex(span_id)) || '-completed',
    lower(hex(trace_id)),
    lower(hex(span_id)),
    user_id,
    'agent_completed',
    strftime('%Y-%m-%dT%H:%M:%fZ', end_ns / 1e9, 'unixepoch'),
    json_object('agent_name', agent_id, 'state', state)
FROM executions;
CREATE VIEW error_logs AS
SELECT
    lower(hex(span_id)) AS error_id,
    lower(hex(trace_id)) AS trace_id,
    lower(hex(span_id)) AS span_id,
    user_id,
    agent_id AS agent_name,
    name AS operation,
    strftime('%Y-%m-%dT%H:%M:%fZ', end_ns / 1e9, 'unixepoch') AS timestamp,
    coalesce(attributes ->> '$."error.type"', exception ->> '$."exception.type"') AS error_type,
    coalesce(status_message, exception ->> '$."exception.message"') AS error_message,
    exception ->> '$."exception.stacktrace"' AS stack_trace,
    attributes AS metadata
FROM (
    SELECT *, (
        SELECT event.value -> '$.attributes'
        FROM json_each(spans.events) AS event
        WHERE event.value ->> '$.name' = 'exception'
        ORDER BY event.key DESC
        LIMIT 1
    ) AS exception
    FROM spans
    WHERE status = 2
);
CREATE VIEW trace_correlations AS
SELECT
    lower(hex(trace_id)) AS trace_id,
    lower(hex(span_id)) AS span_id,
    lower(hex(trace_id)) AS related_trace_id,
    lower(hex(parent_span_id)) AS related_span_id,
    'child_of' AS relation
FROM spans
WHERE parent_span_id IS NOT NULL
UNION ALL
SELECT
    lower(hex(spans.trace_id)),
    lower(hex(spans.span_id)),
    link.value ->> '$.trace_id',
    link.value ->> '$.span_id',
    'link'
FROM spans, json_each(spans.links) AS link;
CREATE INDEX measures_by_start ON measures (start_ns);
CREATE INDEX measures_by_agent ON measures (agent_id, start_ns) WHERE agent_id IS NOT NULL;
CREATE INDEX measures_by_workflow ON measures (workflow_id, start_ns) WHERE workflow_id IS NOT NULL;
CREATE TRIGGER measures_go AFTER DELETE ON spans BEGIN
    DELETE FROM measures WHERE id = old.id;
END;
CREATE TRIGGER measures_are_completed AFTER UPDATE OF workflow_id, session_id, user_id ON spans BEGIN
    UPDATE measures SET workflow_id = new.workflow_id, session_id = new.session_id, user_id = new.user_id
    WHERE id = new.id;
END;
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
COMMIT;

-- Spans take a third of the room: texts that many of them say are stored once and named by number, and attributes are packed.
-- `spans` is a view of them, with the columns that the table had.

-- Names of spans, agents, workflows, sessions, users, tenants and threads.
CREATE TABLE names (
    id        INTEGER PRIMARY KEY,
    text      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL          -- no span after this one is known to refer to it
) STRICT;

-- What the attributes of many spans have in common: a list of [key, 0, place in the row's list], [key, 1, constant] and
-- [key, 2, column of the row].
CREATE TABLE shapes (
    id        INTEGER PRIMARY KEY,
    body      TEXT NOT NULL UNIQUE,
    last_span INTEGER NOT NULL
) STRICT;

-- All of a span. Ids rise in the order of arrival.
CREATE TABLE span_rows (
    id                 INTEGER PRIMARY KEY,
    trace              INTEGER NOT NULL, -- traces.id
    span_id            BLOB NOT NULL,    -- 8 bytes
    parent_span_id     BLOB,             -- NULL: a root
    received_ms        INTEGER NOT NULL, -- ms since the Unix epoch
    service_id         INTEGER NOT NULL,
    resource_id        INTEGER NOT NULL,
    scope_id           INTEGER NOT NULL,
    kind               INTEGER NOT NULL, -- OTLP: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    start_ns           INTEGER NOT NULL, -- ns since the Unix epoch
    took_ns            INTEGER NOT NULL, -- from start to end; below 0 where a clock was broken
    status             INTEGER NOT NULL, -- 0 unset, 1 ok, 2 error
    flags              INTEGER NOT NULL,
    role               INTEGER,          -- 1 a handler that has run, 2 a publish on the bus, NULL anything else
    name               INTEGER NOT NULL, -- names.id, as the next six
    agent              INTEGER,
    workflow           INTEGER,
    session            INTEGER,
    user               INTEGER,
    tenant             INTEGER,
    thread             INTEGER,
    event              BLOB,             -- 16 bytes: id of the event that it is about, where that is a UUID
    shape              INTEGER,          -- shapes.id; NULL: own is the attributes
    own                TEXT,             -- JSON: what the shape leaves to the row
    status_message     TEXT,
    trace_state        TEXT,
    dropped_attributes INTEGER NOT NULL,
    dropped_events     INTEGER NOT NULL,
    dropped_links      INTEGER NOT NULL,
    events             TEXT,             -- JSON list
    links              TEXT              -- JSON list
) STRICT;

INSERT INTO names (text, last_span)
SELECT text, max(id) FROM (
    SELECT name AS text, id FROM spans
    UNION ALL SELECT agent_id, id FROM spans
    UNION ALL SELECT workflow_id, id FROM spans
    UNION ALL SELECT session_id, id FROM spans
    UNION ALL SELECT user_id, id FROM spans
    UNION ALL SELECT tenant_id, id FROM spans
    UNION ALL SELECT thread_id, id FROM spans
) WHERE text IS NOT NULL GROUP BY text;

INSERT INTO span_rows
SELECT
    id, trace, span_id, parent_span_id, received_ms, service_id, resource_id, scope_id, kind, start_ns, end_ns - start_ns,
    status, flags,
    CASE WHEN name IN ('agent.on_event', 'agent.on_action') THEN 1 WHEN name = 'EventBus.publish' THEN 2 END,
    (SELECT names.id FROM names WHERE text = spans.name),
    (SELECT names.id FROM names WHERE text = agent_id),
    (SELECT names.id FROM names WHERE text = workflow_id),
    (SELECT names.id FROM names WHERE text = session_id),
    (SELECT names.id FROM names WHERE text = user_id),
    (SELECT names.id FROM names WHERE text = tenant_id),
    (SELECT names.id FROM names WHERE text = thread_id),
    unhex(replace(event_id, '-', '')),
    NULL, attributes, status_message, trace_state, dropped_attributes, dropped_events, dropped_links, events, links
FROM (
    SELECT *, iif(
        length(said) = 36 AND said = lower(said) AND length(unhex(replace(said, '-', ''))) = 16
            AND substr(said, 9, 1) || substr(said, 14, 1) || substr(said, 19, 1) || substr(said, 24, 1) = '----',
        said, NULL
    ) AS event_id
    FROM (SELECT *, coalesce(attributes ->> '$."event_id"', attributes ->> '$."event.id"') AS said FROM spans)
) AS spans
ORDER BY id;

DROP TABLE spans; -- and its indexes and triggers

-- One span once, and all spans of a trace together.
CREATE UNIQUE INDEX spans_by_trace ON span_rows (trace, span_id);
-- Searches walk one of these from the newest end. They grow near their end, so they are cheap to keep.
CREATE INDEX spans_by_start ON span_rows (start_ns);
CREATE INDEX spans_by_service ON span_rows (service_id, start_ns);
CREATE INDEX spans_by_agent ON span_rows (agent, start_ns) WHERE agent IS NOT NULL;
CREATE INDEX spans_by_workflow ON span_rows (workflow, start_ns) WHERE workflow IS NOT NULL;
CREATE INDEX spans_by_session ON span_rows (session, start_ns) WHERE session IS NOT NULL;
CREATE INDEX spans_by_user ON span_rows (user, start_ns) WHERE user IS NOT NULL;
CREATE INDEX spans_by_tenant ON span_rows (tenant, start_ns) WHERE tenant IS NOT NULL;
CREATE INDEX spans_by_thread ON span_rows (thread, start_ns) WHERE thread IS NOT NULL;
CREATE INDEX spans_with_error ON span_rows (start_ns) WHERE status = 2;
-- Lists, counts and the look-up of an id read nothing else of spans that are no executions, or no publishes.
CREATE INDEX executions_by_start ON span_rows (start_ns, status, parent_span_id) WHERE role = 1;
CREATE INDEX publishes_by_start ON span_rows (start_ns) WHERE role = 2;
CREATE INDEX publishes_by_event ON span_rows (event) WHERE role = 2;

CREATE VIEW spans AS
SELECT
    span.id AS id,
    span.trace AS trace,
    traces.trace_id AS trace_id,
    span.span_id AS span_id,
    span.parent_span_id AS parent_span_id,
    span.received_ms AS received_ms,
    span.service_id AS service_id,
    span.resource_id AS resource_id,
    span.scope_id AS scope_id,
    span.kind AS kind,
    span.start_ns AS start_ns,
    span.start_ns + span.took_ns AS end_ns,
    span.status AS status,
    span.flags AS flags,
    span.role AS role,
    names.text AS name,
    agents.text AS agent_id,
    workflows.text AS workflow_id,
    sessions.text AS session_id,
    users.text AS user_id,
    tenants.text AS tenant_id,
    threads.text AS thread_id,
    span.event AS event,
    span.status_message AS status_message,
    span.trace_state AS trace_state,
    span.dropped_attributes AS dropped_attributes,
    span.dropped_events AS dropped_events,
    span.dropped_links AS dropped_links,
    iif(span.shape IS NULL, span.own, (
        SELECT json_group_object(part.value ->> 0, json(CASE part.value ->> 1
            WHEN 0 THEN span.own -> (part.value ->> 2)
            WHEN 1 THEN part.value -> 2
            ELSE json_quote(CASE part.value ->> 2
                WHEN 'trace' THEN lower(hex(traces.trace_id))
                WHEN 'span' THEN lower(hex(span.span_id))
                WHEN 'event' THEN lower(
                    substr(hex(span.event), 1, 8) || '-' || substr(hex(span.event), 9, 4) || '-'
                    || substr(hex(span.event), 13, 4) || '-' || substr(hex(span.event), 17, 4) || '-'
                    || substr(hex(span.event), 21))
                WHEN 'agent' THEN agents.text
                WHEN 'workflow' THEN workflows.text
                WHEN 'session' THEN sessions.text
                WHEN 'user' THEN users.text
                WHEN 'tenant' THEN tenants.text
                WHEN 'thread' THEN threads.text
            END)
        END))
        FROM json_each(shapes.body) AS part
    )) AS attributes,
    span.events AS events,
    span.links AS links,
    -- As people write times in SQLite: created_at > datetime('now', '-5 minutes').
    strftime('%Y-%m-%d %H:%M:%S', span.received_ms / 1000, 'unixepoch') AS created_at,
    -- The numbers behind the texts, for who puts them together without SQL.
    span.name AS name_ref,
    span.agent AS agent_ref,
    span.workflow AS workflow_ref,
    span.session AS session_ref,
    span.user AS user_ref,
    span.tenant AS tenant_ref,
    span.thread AS thread_ref,
    span.shape AS shape,
    span.own AS own
FROM span_rows AS span
LEFT JOIN traces ON traces.id = span.trace
LEFT JOIN names ON names.id = span.name
LEFT JOIN names AS agents ON agents.id = span.agent
LEFT JOIN names AS workflows ON workflows.id = span.workflow
LEFT JOIN names AS sessions ON sessions.id = span.session
LEFT JOIN names AS users ON users.id = span.user
LEFT JOIN names AS tenants ON tenants.id = span.tenant
LEFT JOIN names AS threads ON threads.id = span.thread
LEFT JOIN shapes ON shapes.id = span.shape;

-- The tables beside the spans follow them, whoever changes them.
CREATE TRIGGER measures_go AFTER DELETE ON span_rows BEGIN
    DELETE FROM measures WHERE id = old.id;
END;
CREATE TRIGGER measures_are_completed AFTER UPDATE OF workflow, session, user ON span_rows BEGIN
    UPDATE measures SET
        workflow_id = (SELECT text FROM names WHERE id = new.workflow),
        session_id = (SELECT text FROM names WHERE id = new.session),
        user_id = (SELECT text FROM names WHERE id = new.user)
    WHERE id = new.id;
END;
CREATE TRIGGER links_go AFTER DELETE ON span_rows WHEN old.links IS NOT NULL BEGIN
    DELETE FROM links WHERE span = old.id AND (target_trace, target_span) IN (
        SELECT unhex(link.value ->> '$.trace_id'), unhex(link.value ->> '$.span_id') FROM json_each(old.links) AS link
    );
END;

-- Its index knows them by their role.
DROP VIEW executions;
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
WHERE role = 1;

-- As before; the server's side of a request is looked for in the rows themselves, where an index finds it.
DROP VIEW performance_metrics;
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
            SELECT iif(count(*) = count(server.id), sum((client.end_ns - client.start_ns) - server.took_ns) / 1e6, NULL)
            FROM spans AS client
            LEFT JOIN span_rows AS server
                ON server.trace = client.trace AND server.parent_span_id = client.span_id AND server.kind = 2
            WHERE measures.kind = 1 AND client.trace = measures.trace AND client.parent_span_id = spans.span_id
                AND client.kind = 3
                AND coalesce(client.attributes ->> '$."http.request.method"', client.attributes ->> '$."http.method"')
                    IS NOT NULL
        ) AS network_latency_ms
    FROM measures JOIN spans ON spans.id = measures.id
);

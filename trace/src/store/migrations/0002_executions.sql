-- What the spans say about executions, under the names that users were promised. All of it is computed from the spans, so
-- it costs nothing to write and cannot disagree with them. docs/executions.md explains each column.

-- Handlers that have run, for a delivery attempt or for a call. The API reads it, and the next two views are made of it.
-- The attribute says how a handler did not come to its end; one whose span tells of no error has.
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

-- Lists, counts and the look-up of an id read nothing else of spans that are no executions. It grows at its end.
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
FROM executions;

-- What happened in them, and when.
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

-- One row for each span that failed, with the last exception that it tells of.
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

-- Which span follows from which: by its place in the tree, or by a link.
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

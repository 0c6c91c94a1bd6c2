-- Metrics of an agent or a workflow read the index alone: a day has hundreds of thousands of rows.
DROP INDEX measures_by_agent;
DROP INDEX measures_by_workflow;
CREATE INDEX measures_by_agent ON measures (
    agent_id, start_ns, kind, status, duration_ns, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
) WHERE agent_id IS NOT NULL;
CREATE INDEX measures_by_workflow ON measures (
    workflow_id, start_ns, kind, status, duration_ns, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
) WHERE workflow_id IS NOT NULL;

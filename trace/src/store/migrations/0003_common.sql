-- What the spans of a trace have in common, as the first of them that says it: spans that do not say it take it from here.
ALTER TABLE traces ADD COLUMN workflow_id TEXT;
ALTER TABLE traces ADD COLUMN session_id TEXT;
ALTER TABLE traces ADD COLUMN user_id TEXT;
ALTER TABLE traces ADD COLUMN tenant_id TEXT;
-- One bit for each of these four in their order: spans of the trace disagree, so that the others are told nothing.
ALTER TABLE traces ADD COLUMN ambiguous INTEGER NOT NULL DEFAULT 0;

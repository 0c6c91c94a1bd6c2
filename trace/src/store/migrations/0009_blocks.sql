-- Who has what began lately is told by lists, one for each block of 16,384 spans, instead of by an index entry for each span:
-- to write a list costs hundreds of spans as much as an entry costs one, and what is written stays together.
-- docs/adr/0010-spans-are-listed-by-block.md

-- Blocks of spans by number: spans.id >> 14.
CREATE TABLE blocks (
    id      INTEGER PRIMARY KEY,
    from_ns INTEGER NOT NULL,         -- first start of its spans, ns since the Unix epoch
    to_ns   INTEGER NOT NULL,         -- last start
    last    INTEGER NOT NULL          -- largest spans.id that was given; none is given twice
) STRICT;

-- Spans that have something in common: start and id of each, packed. Found by their key, and apart from it: a row of some
-- kilobytes fits a page of a table, where one of an index would not hold it.
CREATE TABLE postings (
    block INTEGER NOT NULL,
    list  INTEGER NOT NULL,           -- 0 all, 1 service, 2 agent, 3 workflow, 4 session, 5 user, 6 tenant, 7 thread, 8 failed, 9 gone
    value INTEGER NOT NULL,           -- services.id, names.id, or 0
    part  INTEGER NOT NULL,           -- a block that is full has one part of each
    body  BLOB NOT NULL,
    PRIMARY KEY (block, list, value, part)
) STRICT;

-- Figures of handlers and model calls as metrics add them up: all, by agent and by workflow.
CREATE TABLE samples (
    block INTEGER NOT NULL,
    list  INTEGER NOT NULL,
    value INTEGER NOT NULL,
    part  INTEGER NOT NULL,
    body  BLOB NOT NULL,
    PRIMARY KEY (block, list, value, part)
) STRICT;

DROP INDEX spans_by_start;
DROP INDEX spans_by_service;
DROP INDEX spans_by_agent;
DROP INDEX spans_by_workflow;
DROP INDEX spans_by_session;
DROP INDEX spans_by_user;
DROP INDEX spans_by_tenant;
DROP INDEX spans_by_thread;
DROP INDEX measures_by_agent;
DROP INDEX measures_by_workflow;
-- Executions, which people ask for in SQL, are a part of the spans, and have indexes of their own.
CREATE INDEX executions_by_agent ON span_rows (agent, start_ns) WHERE role = 1 AND agent IS NOT NULL;
CREATE INDEX executions_by_workflow ON span_rows (workflow, start_ns) WHERE role = 1 AND workflow IS NOT NULL;
CREATE INDEX executions_by_user ON span_rows (user, start_ns) WHERE role = 1 AND user IS NOT NULL;
CREATE INDEX executions_by_thread ON span_rows (thread, start_ns) WHERE role = 1 AND thread IS NOT NULL;
-- The lists of what is stored already are made by the program, right after this.

-- Which spans link to a span: the way back from a link. A link names a span that may be in no trace that is stored.
CREATE TABLE links (
    target_trace BLOB NOT NULL,        -- 16 bytes
    target_span  BLOB NOT NULL,        -- 8 bytes
    span         INTEGER NOT NULL,     -- spans.id of the span that links
    PRIMARY KEY (target_trace, target_span, span)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO links
SELECT unhex(link.value ->> '$.trace_id'), unhex(link.value ->> '$.span_id'), spans.id
FROM spans, json_each(spans.links) AS link;

-- The table follows the spans, as that of the measures does.
CREATE TRIGGER links_go AFTER DELETE ON spans WHEN old.links IS NOT NULL BEGIN
    DELETE FROM links WHERE span = old.id AND (target_trace, target_span) IN (
        SELECT unhex(link.value ->> '$.trace_id'), unhex(link.value ->> '$.span_id') FROM json_each(old.links) AS link
    );
END;

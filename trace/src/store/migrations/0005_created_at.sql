-- When a span came, as people write times in SQLite: created_at > datetime('now', '-5 minutes').
ALTER TABLE spans ADD COLUMN created_at TEXT
    GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%S', received_ms / 1000, 'unixepoch')) VIRTUAL;

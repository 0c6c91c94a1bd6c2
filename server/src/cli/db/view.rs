//! What `loom db` shows to a person.

use std::path::Path;

use loom_trace::store::Retention;
use loom_trace::store::upkeep::{Pruned, Stats};
use loom_trace::time_text;

use crate::cli::Terminal;

/// Tables and indexes that are shown; the others are small.
const PARTS: usize = 12;

pub(super) fn stats(
    dir: &Path,
    stats: &Stats,
    retention: &Retention,
    terminal: &Terminal,
) -> String {
    let time = |ms: Option<u64>| {
        ms.map_or_else(
            || "-".to_owned(),
            |ms| time_text::rfc3339(ms.saturating_mul(1_000_000)),
        )
    };
    let mut lines = vec![
        format!("{}  schema {}", dir.display(), stats.schema),
        format!("{} spans of {} traces", stats.spans, stats.traces),
        format!(
            "oldest {}, newest {}",
            time(stats.oldest_ms),
            time(stats.newest_ms)
        ),
        format!(
            "{} used, {} free in the file, {} in the log",
            size(stats.used_bytes),
            size(stats.free_bytes),
            size(stats.log_bytes)
        ),
        bounds(retention),
        match stats.due.spans {
            0 => "nothing is due".to_owned(),
            spans => format!("due: {spans} spans of {} traces", stats.due.traces),
        },
        String::new(),
    ];
    let shown = stats.parts.iter().take(PARTS);
    let rows: Vec<_> = shown
        .map(|part| {
            let per_span = part.bytes as f64 / stats.spans.max(1) as f64;
            let kind = if part.is_index { "index" } else { "table" };
            [
                part.name.clone(),
                kind.to_owned(),
                size(part.bytes),
                format!("{per_span:.1}"),
            ]
        })
        .collect();
    lines.push(terminal.table(["NAME", "KIND", "SIZE", "BYTES/SPAN"], &rows));
    lines.join("\n")
}

pub(super) fn pruned(pruned: &Pruned) -> String {
    format!(
        "{} spans went; {} used before, {} now, in a file of {}",
        pruned.spans,
        size(pruned.used_bytes_before),
        size(pruned.used_bytes),
        size(pruned.file_bytes)
    )
}

fn bounds(retention: &Retention) -> String {
    let mut bounds = Vec::new();
    if retention.max_age_s > 0 {
        let age = std::time::Duration::from_secs(retention.max_age_s);
        bounds.push(crate::config::Period(age).to_string());
    }
    if retention.max_spans > 0 {
        bounds.push(format!("{} spans", retention.max_spans));
    }
    if retention.max_bytes > 0 {
        bounds.push(size(retention.max_bytes));
    }
    if bounds.is_empty() {
        return "the settings keep everything".to_owned();
    }
    format!("the settings keep {}", bounds.join(", "))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 40), "3.0 TiB");
        assert_eq!(size(4096 << 40), "4096.0 TiB");
    }
}

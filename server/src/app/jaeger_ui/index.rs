//! The page of Jaeger's UI: Jaeger's server writes into it what it is and can do, and so does Loom. There is no route for that.

use serde_json::{Value, json};

/// The page is not that of Jaeger's UI.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIndex {
    /// There is none.
    #[error("there is no such file: name the directory that holds a Jaeger UI's index.html")]
    Missing,
    /// It is no UTF-8.
    #[error("it is no text")]
    NoText,
    /// Jaeger's marker is not in it.
    #[error("it is not the page of Jaeger's UI: `{0}` is not in it")]
    NoMarker(&'static str),
}

/// What the UI can be told.
struct Marker {
    /// The variable that gets a value.
    name: &'static str,
    /// What it has in the bundle.
    default: &'static str,
}

const CONFIG: Marker = Marker {
    name: "JAEGER_CONFIG",
    default: "DEFAULT_CONFIG;",
};
const VERSION: Marker = Marker {
    name: "JAEGER_VERSION",
    default: "DEFAULT_VERSION;",
};
const CAPABILITIES: Marker = Marker {
    name: "JAEGER_BACKEND_CAPABILITIES",
    default: "DEFAULT_BACKEND_CAPABILITIES;",
};
/// As it was called before.
const STORAGE_CAPABILITIES: Marker = Marker {
    name: "JAEGER_STORAGE_CAPABILITIES",
    default: "DEFAULT_STORAGE_CAPABILITIES;",
};

/// The page for Loom: where it stands, what Loom's store can do, and a way back from each trace to Loom's own page.
pub(super) fn rewritten(page: &str) -> Result<String, NoIndex> {
    let back = json!({
        "type": "traces", "key": "traceID", "url": "/trace/#{traceID}", "text": "Open in Loom",
    });
    let config = json!({ "linkPatterns": [back] });
    let version = json!({
        "gitCommit": "", "gitVersion": concat!("loom ", env!("CARGO_PKG_VERSION")), "buildDate": "",
    });
    let capabilities = json!({
        "archiveStorage": false, "metricsStorage": true, "searchWithoutServiceName": true, "aiAssistant": false,
    });
    let page = CONFIG
        .set(page, &config)
        .ok_or(NoIndex::NoMarker(CONFIG.name))?;
    let page = VERSION
        .set(&page, &version)
        .ok_or(NoIndex::NoMarker(VERSION.name))?;
    let page = CAPABILITIES
        .set(&page, &capabilities)
        .or_else(|| STORAGE_CAPABILITIES.set(&page, &capabilities))
        .ok_or(NoIndex::NoMarker(CAPABILITIES.name))?;
    based(&page).ok_or(NoIndex::NoMarker("<head>"))
}

/// The page with the address that its files stand below. Older bundles have a place for it. Newer ones find it out in a script, which a
/// browser that loads ahead does not wait for: it would ask for each file of a trace's page below `/jaeger/trace/`, where none is.
fn based(page: &str) -> Option<String> {
    const PLACE: &str = "<base href=\"/\"";
    const BASE: &str = "<base href=\"/jaeger/\"";
    if page.contains(PLACE) {
        return Some(page.replacen(PLACE, BASE, 1));
    }
    let head = page.find("<head>")? + "<head>".len();
    Some(format!("{}{BASE} />{}", &page[..head], &page[head..]))
}

impl Marker {
    /// Writes a value in the place of the default one: `NAME = DEFAULT;`, with any spaces around the sign.
    fn set(&self, page: &str, value: &Value) -> Option<String> {
        let mut places = page.match_indices(self.default);
        let (begin, end) = places.find_map(|(at, default)| {
            let before = page[..at].trim_end_matches(' ').strip_suffix('=')?;
            let before = before.trim_end_matches(' ').strip_suffix(self.name)?;
            Some((before.len(), at + default.len()))
        })?;
        let after = &page[end..];
        // Nothing in a value may end the script that it stands in.
        let value = value.to_string().replace('<', "\\u003c");
        Some(format!("{}{} = {value};{after}", &page[..begin], self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_jaegers_is_refused() {
        assert_eq!(
            rewritten("<html></html>"),
            Err(NoIndex::NoMarker("JAEGER_CONFIG"))
        );
        let config = "const JAEGER_CONFIG = DEFAULT_CONFIG;";
        assert_eq!(rewritten(config), Err(NoIndex::NoMarker("JAEGER_VERSION")));
        let both = format!(
            "{config} JAEGER_VERSION=DEFAULT_VERSION; OTHER = DEFAULT_BACKEND_CAPABILITIES;"
        );
        assert_eq!(
            rewritten(&both),
            Err(NoIndex::NoMarker("JAEGER_BACKEND_CAPABILITIES"))
        );
        let all = format!("{both} JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;");
        assert_eq!(rewritten(&all), Err(NoIndex::NoMarker("<head>")));
    }

    #[test]
    fn a_bundle_that_finds_out_where_it_stands_is_told_before() {
        let script = "<script>insert('<base href=\"' + found + '\" />')</script>";
        let page = format!(
            "<html><head>{script} JAEGER_CONFIG = DEFAULT_CONFIG; JAEGER_VERSION = DEFAULT_VERSION; \
             JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;</head><head>"
        );
        let page = rewritten(&page).expect("a page");
        // The first one counts.
        let start = format!("<html><head><base href=\"/jaeger/\" />{script}");
        assert!(page.starts_with(&start), "{page}");
        assert_eq!(page.matches("/jaeger/").count(), 1);
    }

    #[test]
    fn older_bundles_are_told_too() {
        let page = "// DEFAULT_CONFIG; is what it has\n<base href=\"/\" /> JAEGER_CONFIG=DEFAULT_CONFIG; JAEGER_VERSION =  DEFAULT_VERSION; \
                    JAEGER_STORAGE_CAPABILITIES = DEFAULT_STORAGE_CAPABILITIES; end";
        let page = rewritten(page).expect("a page");
        assert!(
            page.contains("\n<base href=\"/jaeger/\" /> JAEGER_CONFIG = {"),
            "{page}"
        );
        assert!(page.contains("JAEGER_STORAGE_CAPABILITIES = {"), "{page}");
        assert!(
            page.ends_with("; end") && !page.contains("= DEFAULT"),
            "{page}"
        );
    }
}

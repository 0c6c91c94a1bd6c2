//! `[links]`: where a trace can be seen in other tools.

use std::str::FromStr;

use http::Uri;
use serde::Deserialize;

use super::{ConfigError, wrong};

const TRACE_ID: &str = "{trace_id}";
/// What stands in an address for something that its reader knows.
const PLACES: [&str; 5] = [TRACE_ID, "{span_id}", "{service}", "{start_ms}", "{end_ms}"];

/// `[links]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinksSection {
    /// A Jaeger UI, or the address of a trace in it.
    pub jaeger_ui_url: Option<LinkTemplate>,
    /// The address of a trace in a Grafana.
    pub grafana_url: Option<LinkTemplate>,
}

/// An address with `{trace_id}`, `{span_id}`, `{service}`, `{start_ms}` and `{end_ms}` in it; http or https.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LinkTemplate(String);

impl LinksSection {
    /// The address of a trace in Jaeger's UI.
    pub fn jaeger_trace(&self) -> Option<String> {
        let LinkTemplate(url) = self.jaeger_ui_url.as_ref()?;
        if url.contains(TRACE_ID) {
            return Some(url.clone());
        }
        Some(jaeger_trace(url.trim_end_matches('/')))
    }

    /// The address of a trace in Grafana.
    pub fn grafana_trace(&self) -> Option<String> {
        self.grafana_url.as_ref().map(|url| url.0.clone())
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match &self.grafana_url {
            Some(LinkTemplate(url)) if !url.contains(TRACE_ID) => Err(wrong(
                "links.grafana_url",
                format!("`{url}` says no trace: write {TRACE_ID} where its id belongs"),
            )),
            _ => Ok(()),
        }
    }
}

/// The address of a trace in the Jaeger UI that is at `base`, and the span that it opens.
pub(crate) fn jaeger_trace(base: &str) -> String {
    format!("{base}/trace/{TRACE_ID}?uiFind={{span_id}}")
}

impl FromStr for LinkTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filled = text.to_owned();
        for place in PLACES {
            filled = filled.replace(place, "1");
        }
        if let Some(at) = filled.find(['{', '}']) {
            return Err(format!(
                "`{}` is no place that is filled: there are {}, and other braces are written %7B and %7D",
                &filled[at..],
                PLACES.join(", ")
            ));
        }
        let is_link = filled
            .parse::<Uri>()
            .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if !is_link {
            return Err(format!(
                "`{text}` is no address like http://127.0.0.1:16686"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for LinkTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(jaeger: &str, grafana: &str) -> LinksSection {
        LinksSection {
            jaeger_ui_url: Some(jaeger.parse().expect("a link")),
            grafana_url: Some(grafana.parse().expect("a link")),
        }
    }

    #[test]
    fn a_jaeger_is_named_by_its_address_or_by_that_of_a_trace() {
        let grafana = "https://g.example/explore?panes=%7B%22query%22:%22{trace_id}%22%7D";
        for (url, expected) in [
            (
                "http://127.0.0.1:16686",
                "http://127.0.0.1:16686/trace/{trace_id}?uiFind={span_id}",
            ),
            (
                "https://x.example/jaeger/",
                "https://x.example/jaeger/trace/{trace_id}?uiFind={span_id}",
            ),
            (
                "https://x.example/t/{trace_id}?s={service}&from={start_ms}&to={end_ms}",
                "https://x.example/t/{trace_id}?s={service}&from={start_ms}&to={end_ms}",
            ),
        ] {
            let links = links(url, grafana);
            assert_eq!(links.jaeger_trace().as_deref(), Some(expected));
            assert_eq!(links.grafana_trace().as_deref(), Some(grafana));
            assert!(links.validate().is_ok());
        }
        let none = LinksSection::default();
        assert_eq!((none.jaeger_trace(), none.grafana_trace()), (None, None));
    }

    #[test]
    fn other_texts_are_no_links() {
        for text in [
            "",
            "jaeger:16686",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://x.example",
            "http://",
            "http://x.example/{trace}",
            "http://x.example/{trace_id",
            "http://x.example/a b",
        ] {
            assert!(text.parse::<LinkTemplate>().is_err(), "{text}");
        }
        let without = links("http://x.example", "http://x.example");
        assert!(without.validate().is_err());
    }
}

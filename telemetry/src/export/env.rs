//! The exporter's settings from the environment, as the OpenTelemetry specification names them.
//!
//! Of each setting the traces' own variable wins over the general one. An empty variable counts as not set.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::config::{
    Compression, ExporterConfig, ExporterConfigError, GRPC_ENDPOINT, HTTP_ENDPOINT, HTTP_PATH,
    Protocol, TlsFiles,
};
use crate::env::{is_true, pairs, variable};

/// `otlp` or `none`.
pub const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";
/// `true` switches all telemetry off.
pub const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
/// The collector, for all signals.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The collector, for traces.
pub const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// What stands behind `OTEL_EXPORTER_OTLP_` or `OTEL_EXPORTER_OTLP_TRACES_`.
mod setting {
    pub(super) const ENDPOINT: &str = "ENDPOINT";
    pub(super) const PROTOCOL: &str = "PROTOCOL";
    pub(super) const HEADERS: &str = "HEADERS";
    pub(super) const TIMEOUT: &str = "TIMEOUT";
    pub(super) const COMPRESSION: &str = "COMPRESSION";
    pub(super) const INSECURE: &str = "INSECURE";
    pub(super) const CERTIFICATE: &str = "CERTIFICATE";
    pub(super) const CLIENT_KEY: &str = "CLIENT_KEY";
    pub(super) const CLIENT_CERTIFICATE: &str = "CLIENT_CERTIFICATE";
}

/// A variable that is set.
struct Found {
    name: String,
    value: String,
    /// Whether it is the one for traces alone.
    is_for_traces: bool,
}

impl ExporterConfig {
    /// Reads the environment through `get`. Nothing set gives the default: gRPC to `http://localhost:4317`.
    /// `None` when the export is switched off.
    ///
    /// # Errors
    /// The first variable that cannot be obeyed.
    pub fn from_env(
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ExporterConfigError> {
        let get = &get;
        if is_true(get, SDK_DISABLED) || !is_chosen(get)? {
            return Ok(None);
        }
        let protocol = protocol(get)?;
        let mut config = Self::new(protocol, endpoint(get, protocol)?);
        if let Some(found) = find(get, setting::HEADERS) {
            config.headers = headers(&found)?;
        }
        if let Some(found) = find(get, setting::TIMEOUT) {
            config.timeout = match found.value.parse() {
                Ok(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds),
                _ => return Err(unknown(found, "a number of milliseconds above 0")),
            };
        }
        if let Some(found) = find(get, setting::COMPRESSION) {
            config.compression = match found.value.to_ascii_lowercase().as_str() {
                "none" => Compression::None,
                "gzip" => Compression::Gzip,
                _ => return Err(unknown(found, "gzip or none")),
            };
        }
        let file = |setting| find(get, setting).map(|found| PathBuf::from(found.value));
        config.tls = TlsFiles {
            certificate: file(setting::CERTIFICATE),
            client_key: file(setting::CLIENT_KEY),
            client_certificate: file(setting::CLIENT_CERTIFICATE),
        };
        Ok(Some(config))
    }
}

fn find(get: &impl Fn(&str) -> Option<String>, setting: &str) -> Option<Found> {
    let own = format!("OTEL_EXPORTER_OTLP_TRACES_{setting}");
    let general = format!("OTEL_EXPORTER_OTLP_{setting}");
    [(own, true), (general, false)]
        .into_iter()
        .find_map(|(name, is_for_traces)| {
            let value = variable(get, &name)?;
            Some(Found {
                name,
                value,
                is_for_traces,
            })
        })
}

fn unknown(found: Found, expected: &'static str) -> ExporterConfigError {
    ExporterConfigError::Value {
        variable: found.name,
        value: found.value,
        expected,
    }
}

/// The variable is a list; a program may name exporters that others of its SDKs have.
fn is_chosen(get: &impl Fn(&str) -> Option<String>) -> Result<bool, ExporterConfigError> {
    let Some(value) = variable(get, TRACES_EXPORTER) else {
        return Ok(true);
    };
    let names = value
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name == "otlp") {
        return Ok(true);
    }
    if names.iter().all(|name| name == "none") {
        return Ok(false);
    }
    Err(ExporterConfigError::Value {
        variable: TRACES_EXPORTER.to_owned(),
        value,
        expected: "otlp or none",
    })
}

fn protocol(get: &impl Fn(&str) -> Option<String>) -> Result<Protocol, ExporterConfigError> {
    let Some(found) = find(get, setting::PROTOCOL) else {
        return Ok(Protocol::Grpc);
    };
    match found.value.to_ascii_lowercase().as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        _ => Err(unknown(found, "grpc or http/protobuf")),
    }
}

fn endpoint(
    get: &impl Fn(&str) -> Option<String>,
    protocol: Protocol,
) -> Result<Uri, ExporterConfigError> {
    let (name, text) = match (find(get, setting::ENDPOINT), protocol) {
        (None, Protocol::Grpc) => (ENDPOINT.to_owned(), GRPC_ENDPOINT.to_owned()),
        (None, Protocol::HttpProtobuf) => {
            (ENDPOINT.to_owned(), format!("{HTTP_ENDPOINT}/{HTTP_PATH}"))
        }
        (Some(found), Protocol::Grpc) => {
            let text = if found.value.contains("://") {
                found.value
            } else {
                // The specification: a gRPC endpoint without a scheme is secure unless INSECURE says otherwise.
                let insecure = find(get, setting::INSECURE);
                let is_insecure =
                    insecure.is_some_and(|found| found.value.eq_ignore_ascii_case("true"));
                let scheme = if is_insecure { "http" } else { "https" };
                format!("{scheme}://{}", found.value)
            };
            (found.name, text)
        }
        // The traces' own endpoint is taken as it is; below a general one each signal has its path.
        (Some(found), Protocol::HttpProtobuf) if found.is_for_traces => (found.name, found.value),
        (Some(found), Protocol::HttpProtobuf) => {
            let base = found.value.trim_end_matches('/');
            (found.name, format!("{base}/{HTTP_PATH}"))
        }
    };
    let fault = |reason| ExporterConfigError::Endpoint {
        variable: name.clone(),
        reason,
    };
    let uri: Uri = text.parse().map_err(|_| fault("it is not a URL"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(fault("its scheme is neither http nor https")),
    }
    let authority = uri.authority().ok_or_else(|| fault("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(fault(
            "credentials belong into OTEL_EXPORTER_OTLP_HEADERS, not into the URL",
        ));
    }
    if authority.host().is_empty() {
        return Err(fault("it names no host"));
    }
    if authority.as_str() != authority.host() && authority.port_u16().is_none() {
        return Err(fault("its port is no number from 0 to 65535"));
    }
    Ok(uri)
}

fn headers(found: &Found) -> Result<HeaderMap, ExporterConfigError> {
    let fault = |reason| ExporterConfigError::Headers {
        variable: found.name.clone(),
        reason,
    };
    let list = pairs(&found.value).map_err(|error| fault(error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (key, value) in list {
        let name = HeaderName::try_from(&key)
            .map_err(|_| fault(format!("{key:?} is no name of a header")))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| fault(format!("the value of {key:?} is no value of a header")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;

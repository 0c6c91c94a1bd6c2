//! Whether the server's spans also go to a collector, and to which.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use http::Uri;

use crate::config::TelemetrySection;
use crate::env::{self, Environment};

/// A name that is not resolved by then is not this machine's.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportChoice {
    /// The store in process is the only sink.
    Off,
    /// A collector gets them too.
    To(String),
    /// The configured collector is this server itself: every export would make new spans, for ever.
    OwnReceiver {
        /// Where the endpoint was set.
        source: &'static str,
        /// The endpoint.
        endpoint: String,
    },
}

/// Reads the environment and the settings, and compares with the addresses of the server's own receivers.
pub async fn choose(
    section: &TelemetrySection,
    environment: &dyn Environment,
    own_receivers: &[SocketAddr],
) -> ExportChoice {
    if environment
        .get(env::OTEL_TRACES_EXPORTER)
        .is_some_and(|exporter| exporter.trim() == "none")
    {
        return ExportChoice::Off;
    }
    let from = |source: &'static str| environment.get(source).map(|endpoint| (source, endpoint));
    let configured = from(env::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
        .or_else(|| from(env::OTEL_EXPORTER_OTLP_ENDPOINT))
        .or_else(|| {
            section
                .export
                .clone()
                .map(|endpoint| ("telemetry.export", endpoint))
        });
    match configured {
        None => ExportChoice::Off,
        Some((source, endpoint)) if is_own(&endpoint, own_receivers).await => {
            ExportChoice::OwnReceiver { source, endpoint }
        }
        Some((_, endpoint)) => ExportChoice::To(endpoint),
    }
}

async fn is_own(endpoint: &str, own_receivers: &[SocketAddr]) -> bool {
    let Some((host, port)) = host_and_port(endpoint) else {
        return false;
    };
    let same_port: Vec<_> = own_receivers
        .iter()
        .filter(|own| own.port() == port)
        .map(SocketAddr::ip)
        .collect();
    if same_port.is_empty() {
        return false;
    }
    let resolved = tokio::time::timeout(
        RESOLVE_PATIENCE,
        tokio::net::lookup_host((host.as_str(), port)),
    )
    .await;
    let Ok(Ok(addresses)) = resolved else {
        return false;
    };
    addresses
        .map(|address| address.ip())
        .any(|ip| same_port.iter().any(|own| reaches(ip, *own)))
}

/// Whether who connects to `ip` meets a listener on `own`.
fn reaches(ip: IpAddr, own: IpAddr) -> bool {
    ip == own || ip.is_unspecified() || (own.is_unspecified() && is_of_this_machine(ip))
}

/// Only an address of one's own can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || TcpListener::bind((ip, 0)).is_ok()
}

fn host_and_port(endpoint: &str) -> Option<(String, u16)> {
    let with_scheme = if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("http://{endpoint}")
    };
    let uri: Uri = with_scheme.parse().ok()?;
    let default = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let host = uri
        .host()?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Some((host, uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    async fn chosen(
        variables: &[(&str, &str)],
        export: Option<&str>,
        own: &[&str],
    ) -> ExportChoice {
        let environment: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let section = TelemetrySection {
            export: export.map(str::to_owned),
            ..TelemetrySection::default()
        };
        let own: Vec<_> = own
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
        choose(&section, &environment, &own).await
    }

    #[tokio::test]
    async fn nothing_is_exported_unless_somebody_says_where() {
        assert_eq!(
            chosen(&[], None, &["127.0.0.1:4317"]).await,
            ExportChoice::Off
        );
        let url = "http://192.0.2.1:4317";
        assert_eq!(
            chosen(&[], Some(url), &[]).await,
            ExportChoice::To(url.to_owned())
        );
        let none = [
            (env::OTEL_TRACES_EXPORTER, "none"),
            (env::OTEL_EXPORTER_OTLP_ENDPOINT, url),
        ];
        assert_eq!(chosen(&none, None, &[]).await, ExportChoice::Off);
    }

    #[tokio::test]
    async fn the_traces_endpoint_wins_over_the_general_one_and_that_over_the_file() {
        let both = [
            (env::OTEL_EXPORTER_OTLP_ENDPOINT, "http://192.0.2.1:1"),
            (
                env::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
                "http://192.0.2.2:2",
            ),
        ];
        let file = Some("http://192.0.2.3:3");
        assert_eq!(
            chosen(&both, file, &[]).await,
            ExportChoice::To("http://192.0.2.2:2".to_owned())
        );
        assert_eq!(
            chosen(&both[..1], file, &[]).await,
            ExportChoice::To("http://192.0.2.1:1".to_owned())
        );
    }

    #[tokio::test]
    async fn the_own_receiver_is_recognised_under_all_its_names() {
        for (endpoint, own) in [
            ("http://localhost:4317", "127.0.0.1:4317"),
            ("localhost:4317", "127.0.0.1:4317"),
            ("http://127.0.0.1:4318/v1/traces", "127.0.0.1:4318"),
            ("http://127.0.0.1:4317", "0.0.0.0:4317"),
            ("http://0.0.0.0:4317", "127.0.0.1:4317"),
            ("http://[::1]:4317", "[::1]:4317"),
        ] {
            let variables = [(env::OTEL_EXPORTER_OTLP_ENDPOINT, endpoint)];
            let choice = chosen(&variables, None, &[own]).await;
            assert!(
                matches!(choice, ExportChoice::OwnReceiver { .. }),
                "{endpoint} with {own}: {choice:?}"
            );
        }
    }

    #[tokio::test]
    async fn another_port_or_machine_is_not_the_own_receiver() {
        for endpoint in [
            "http://127.0.0.1:14317",
            "http://192.0.2.1:4317",
            "http://collector.invalid:4317",
        ] {
            let variables = [(env::OTEL_EXPORTER_OTLP_ENDPOINT, endpoint)];
            assert_eq!(
                chosen(&variables, None, &["127.0.0.1:4317"]).await,
                ExportChoice::To(endpoint.to_owned())
            );
        }
    }
}

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<ExporterConfig>, ExporterConfigError> {
    ExporterConfig::from_env(|name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn config(variables: &[(&str, &str)]) -> ExporterConfig {
    read(variables)
        .expect("usable")
        .expect("the export is switched on")
}

const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");

#[test]
fn nothing_set_means_grpc_on_this_machine() {
    let config = config(&[]);
    assert_eq!(config.protocol, Protocol::Grpc);
    assert_eq!(config.address(), "http://localhost:4317");
    assert_eq!(config.timeout, Duration::from_secs(10));
    assert_eq!(config.compression, Compression::None);
    assert!(config.headers.is_empty());
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = config(&[(ENDPOINT, "  "), ("OTEL_EXPORTER_OTLP_TIMEOUT", "")]);
    assert_eq!(config.address(), "http://localhost:4317");
    assert_eq!(config.timeout, Duration::from_secs(10));
}

#[test]
fn http_puts_traces_below_the_general_endpoint_alone() {
    let endpoint = |variables: &[(&str, &str)]| config(variables).endpoint.to_string();
    assert_eq!(endpoint(&[PROTOCOL]), "http://localhost:4318/v1/traces");
    for general in ["http://c:4318", "http://c:4318/"] {
        assert_eq!(
            endpoint(&[PROTOCOL, (ENDPOINT, general)]),
            "http://c:4318/v1/traces"
        );
    }
    assert_eq!(
        endpoint(&[PROTOCOL, (ENDPOINT, "https://c/otlp")]),
        "https://c/otlp/v1/traces"
    );
    assert_eq!(
        endpoint(&[
            PROTOCOL,
            (ENDPOINT, "http://c:4318"),
            (TRACES_ENDPOINT, "http://t:1/own")
        ]),
        "http://t:1/own"
    );
}

#[test]
fn a_grpc_endpoint_without_scheme_is_secure_unless_told_otherwise() {
    let address = |variables: &[(&str, &str)]| config(variables).address();
    assert_eq!(address(&[(ENDPOINT, "c:4317")]), "https://c:4317");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE");
    assert_eq!(address(&[(ENDPOINT, "c:4317"), insecure]), "http://c:4317");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
    assert_eq!(
        address(&[(ENDPOINT, "c:4317"), insecure, own]),
        "https://c:4317"
    );
    assert_eq!(
        address(&[(ENDPOINT, "https://c:4317"), insecure]),
        "https://c:4317"
    );
}

#[test]
fn the_traces_own_variable_wins() {
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=general"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "x-a=1%202, Authorization=Bearer%20t",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "GZIP"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "general.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "own.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
    ]);
    assert_eq!(config.headers.len(), 2);
    assert_eq!(config.headers["x-a"], "1 2");
    assert_eq!(config.headers["authorization"], "Bearer t");
    assert_eq!(config.timeout, Duration::from_millis(2500));
    assert_eq!(config.compression, Compression::Gzip);
    assert_eq!(config.protocol, Protocol::HttpProtobuf);
    assert_eq!(
        config.tls,
        TlsFiles {
            certificate: Some("own.pem".into()),
            client_key: Some("key.pem".into()),
            client_certificate: Some("client.pem".into()),
        }
    );
}

#[test]
fn the_export_can_be_switched_off() {
    let is_off = |variables: &[(&str, &str)]| read(variables).expect("usable").is_none();
    assert!(is_off(&[(TRACES_EXPORTER, "none")]));
    assert!(is_off(&[(SDK_DISABLED, "True")]));
    assert!(!is_off(&[(SDK_DISABLED, "1")]), "only true is true");
    assert!(!is_off(&[(TRACES_EXPORTER, "console, otlp")]));
}

#[test]
fn what_cannot_be_obeyed_is_named() {
    for (variable, value, advice) in [
        (TRACES_EXPORTER, "zipkin", "otlp or none"),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            "grpc or http/protobuf",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip or none"),
    ] {
        let message = read(&[(variable, value)]).expect_err("unknown").to_string();
        assert!(message.contains(variable), "{message}");
        assert!(message.contains(value), "{message}");
        assert!(message.contains(advice), "{message}");
    }
}

#[test]
fn an_unusable_endpoint_is_refused_and_not_shown() {
    for endpoint in [
        "http://user:secret@c:4317",
        "ftp://secret",
        "http://",
        "http://:4317",
        "http://secret path",
        "http://secret:99999999",
    ] {
        let message = read(&[(TRACES_ENDPOINT, endpoint)])
            .expect_err(endpoint)
            .to_string();
        assert!(message.contains(TRACES_ENDPOINT), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let no_scheme = read(&[PROTOCOL, (ENDPOINT, "c:4318")]);
    assert!(matches!(
        no_scheme,
        Err(ExporterConfigError::Endpoint { .. })
    ));
}

#[test]
fn unusable_headers_are_refused_and_not_shown() {
    for headers in ["secret", "a b=secret", "key=secret%0A", "key=secret%"] {
        let message = read(&[("OTEL_EXPORTER_OTLP_HEADERS", headers)])
            .expect_err(headers)
            .to_string();
        assert!(!message.contains("secret"), "{message}");
    }
}

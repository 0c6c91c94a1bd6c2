//! Both transports: what arrives, and in which form.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use loom_telemetry::DropReason;
use loom_telemetry::export::{Compression, ExporterConfig, Protocol, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tonic::Code;
use tonic::transport::{Identity, ServerTlsConfig};

use crate::collector::{Collector, Reply, listen};
use crate::lab::{Lab, config, runtime};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn start(collector: &Collector, protocol: Protocol, edit: impl Fn(&mut ExporterConfig)) -> Lab {
    let runtime = runtime();
    let address = collector.serve(&runtime, protocol);
    let mut config = config(protocol, address);
    edit(&mut config);
    Lab::new(runtime, config)
}

#[test]
fn every_span_arrives_once() {
    for protocol in BOTH {
        let collector = Collector::default();
        let lab = start(&collector, protocol, |_| {});
        lab.record(0..1000);
        let report = lab.flush();
        assert_eq!(report.stats.sinks[0].exported, 1000);
        let mut numbers: Vec<usize> = collector
            .names()
            .iter()
            .map(|name| name.parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..1000), "{protocol:?}");
    }
}

#[test]
fn requests_carry_headers_and_say_who_sends() {
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let collector = Collector::default();
            let lab = start(&collector, protocol, |config| {
                config.compression = compression;
                config.headers = HeaderMap::from_iter([(
                    "x-tenant".parse().expect("a name"),
                    HeaderValue::from_static("a"),
                )]);
            });
            lab.record(0..3);
            lab.flush();
            let request = collector.last();
            assert_eq!(request.names, ["0", "1", "2"]);
            assert_eq!(request.headers["x-tenant"], "a");
            let agent = request.headers["user-agent"].to_str().expect("a text");
            assert!(agent.starts_with("loom/"), "{agent}");
            let encoding = match protocol {
                Protocol::Grpc => "grpc-encoding",
                Protocol::HttpProtobuf => "content-encoding",
            };
            let expected = (compression == Compression::Gzip).then_some("gzip");
            let encoding = request.headers.get(encoding).map(HeaderValue::as_bytes);
            assert_eq!(encoding, expected.map(str::as_bytes), "{protocol:?}");
            if protocol == Protocol::HttpProtobuf {
                assert_eq!(request.path, "/v1/traces");
                assert_eq!(request.headers["content-type"], "application/x-protobuf");
            }
        }
    }
}

#[test]
fn what_a_collector_rejects_is_counted() {
    for protocol in BOTH {
        let collector = Collector::new([Reply::Reject(3)]);
        let lab = start(&collector, protocol, |_| {});
        lab.record(0..10);
        let sink = &lab.flush().stats.sinks[0];
        assert_eq!(
            (sink.exported, sink.dropped.get(DropReason::Rejected)),
            (7, 3)
        );
    }
}

#[test]
fn what_may_be_retried_is_retried_and_arrives() {
    let unavailable = Reply::Refuse(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE);
    for protocol in BOTH {
        let replies = [
            unavailable.clone(),
            unavailable.clone(),
            Reply::Throttle(Duration::ZERO),
        ];
        let collector = Collector::new(replies);
        let lab = start(&collector, protocol, |config| config.in_flight = 1);
        lab.record(0..20);
        let sink = &lab.flush().stats.sinks[0];
        assert_eq!((sink.exported, sink.dropped.total()), (20, 0));
        assert_eq!(collector.requests(), 5, "three refusals, two requests");
    }
}

#[test]
fn what_a_collector_refuses_for_good_is_not_sent_again() {
    let refusal = Reply::Refuse(Code::InvalidArgument, StatusCode::BAD_REQUEST);
    for protocol in BOTH {
        let collector = Collector::new([refusal.clone()]);
        let lab = start(&collector, protocol, |_| {});
        lab.record(0..20);
        let sink = &lab.flush().stats.sinks[0];
        assert_eq!(sink.exported, 10, "the other request is not held up");
        assert_eq!(sink.dropped.get(DropReason::ExportFailed), 10);
        assert_eq!(collector.requests(), 2);
    }
}

/// An authority, and a collector's certificate from it with its key; all as PEM.
struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = authority.self_signed(&authority_key).expect("an authority");
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key");
        let collector = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let issued = collector.signed_by(&key, &issuer).expect("a certificate");
        Self {
            authority: own.pem(),
            certificate: issued.pem(),
            key: key.serialize_pem(),
        }
    }
}

#[test]
fn a_collector_behind_tls_is_verified_with_the_given_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (right, wrong) = (
        folder.path().join("right.pem"),
        folder.path().join("wrong.pem"),
    );
    let collector = Certificates::new();
    std::fs::write(&right, &collector.authority).expect("written");
    std::fs::write(&wrong, Certificates::new().authority).expect("written");

    for protocol in BOTH {
        assert_eq!(export_by_tls(protocol, &collector, &right), (10, 0));
        let stranger = export_by_tls(protocol, &collector, &wrong);
        assert_eq!(stranger, (0, 10), "a stranger gets nothing");
    }
}

/// Exports ten spans; returns how many were exported and how many dropped.
fn export_by_tls(protocol: Protocol, own: &Certificates, trusted: &Path) -> (u64, u64) {
    let runtime = runtime();
    let collector = Collector::default();
    let (listener, address) = listen(&runtime);
    match protocol {
        Protocol::Grpc => {
            let tls =
                ServerTlsConfig::new().identity(Identity::from_pem(&own.certificate, &own.key));
            collector.serve_grpc_by_tls(&runtime, listener, tls);
        }
        Protocol::HttpProtobuf => {
            let acceptor = acceptor(own);
            let collector = collector.clone();
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        tokio::spawn(collector.clone().serve_http_on(stream));
                    }
                }
            });
        }
    }
    let mut config = config(protocol, format!("localhost:{}", address.port()));
    let endpoint = config.endpoint.to_string().replacen("http", "https", 1);
    config.endpoint = endpoint.parse().expect("a URL");
    config.backlog_age = Duration::from_millis(200);
    config.tls = TlsFiles {
        certificate: Some(trusted.to_owned()),
        ..TlsFiles::default()
    };
    let lab = Lab::new(runtime, config);
    lab.record(0..10);
    let sink = &lab.flush().stats.sinks[0];
    assert_eq!(collector.names().len() as u64, sink.exported);
    (sink.exported, sink.dropped.total())
}

fn acceptor(own: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

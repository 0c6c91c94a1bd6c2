//! Collectors that come late, die, fall silent, or never were.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loom_telemetry::DropReason;
use loom_telemetry::export::Protocol;
use tokio::net::TcpSocket;
use tonic::Code;
use tracing::Level;

use crate::collector::{Collector, Reply};
use crate::door::Door;
use crate::lab::{Lab, config, eventually, runtime};
use crate::log;

/// A port that refuses connections, and stays ours as long as the socket lives.
fn refusing_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    socket.bind(any).expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

#[test]
fn a_collector_that_comes_late_gets_everything() {
    let runtime = runtime();
    let (socket, address) = refusing_port();
    let lab = Lab::new(runtime, config(Protocol::Grpc, address));
    lab.record(0..100);
    lab.hand_over();
    let address = address.to_string();
    eventually("the warning", || !log::lines(&address).is_empty());

    let collector = Collector::default();
    let runtime = lab.runtime.as_ref().expect("still there");
    let listener = {
        let _context = runtime.enter();
        socket.listen(16).expect("listening")
    };
    collector.serve_grpc_on(runtime, listener);
    let sink = &lab.flush().stats.sinks[0];
    assert_eq!((sink.exported, sink.dropped.total()), (100, 0));
    assert_eq!(collector.names().len(), 100);

    let levels: Vec<_> = log::lines(&address)
        .into_iter()
        .map(|(level, _)| level)
        .collect();
    assert_eq!(levels, [Level::WARN, Level::INFO], "one line each");
}

#[test]
fn a_collector_that_dies_in_between_gets_everything_in_the_end() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let runtime = runtime();
        let collector = Collector::default();
        let address = collector.serve(&runtime, protocol);
        let door = Door::new(&runtime, address, true);
        let lab = Lab::new(runtime, config(protocol, door.address));
        lab.record(0..10);
        lab.flush();

        door.shut();
        lab.record(10..100);
        lab.hand_over();
        eventually("a connection that breaks", || door.turned_away() > 1);
        door.open();
        let sink = &lab.flush().stats.sinks[0];
        assert_eq!((sink.exported, sink.dropped.total()), (100, 0));
        // A request whose answer broke off is sent again, so there may be some twice.
        let mut names = collector.names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 100);
    }
}

#[test]
fn a_connection_that_breaks_under_a_request_is_no_refusal() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let runtime = runtime();
        let collector = Collector::new([Reply::Silence]);
        let address = collector.serve(&runtime, protocol);
        let door = Door::new(&runtime, address, true);
        let lab = Lab::new(runtime, config(protocol, door.address));
        lab.record(0..10);
        lab.hand_over();
        eventually("the request", || collector.requests() == 1);
        door.shut();
        eventually("another attempt", || door.turned_away() > 0);
        door.open();
        let sink = &lab.flush().stats.sinks[0];
        assert_eq!(
            (sink.exported, sink.dropped.total()),
            (10, 0),
            "{protocol:?}"
        );
    }
}

#[test]
fn a_collector_that_is_away_costs_one_line_and_counted_drops() {
    let (_socket, address) = refusing_port();
    let lab = Lab::new(runtime(), config(Protocol::Grpc, address));
    for round in 0..20 {
        lab.record(round * 10..round * 10 + 10);
        lab.hand_over();
    }
    let address = address.to_string();
    eventually("the warning", || !log::lines(&address).is_empty());
    let report = lab.shutdown(Duration::from_millis(100));
    assert!(!report.is_complete);
    let sink = &report.stats.sinks[0];
    assert_eq!(
        (report.stats.recorded, sink.exported, sink.queued),
        (200, 0, 0)
    );
    assert_eq!(sink.dropped.get(DropReason::Shutdown), 200);

    let lines = log::lines(&address);
    let [(Level::WARN, line)] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(line.contains("refused"), "{line}");
    assert!(line.contains("OTEL_TRACES_EXPORTER=none"), "{line}");
}

#[test]
fn the_backlog_is_bounded_by_bytes() {
    let (_socket, address) = refusing_port();
    let mut config = config(Protocol::Grpc, address);
    config.backlog_bytes = 4096;
    let lab = Lab::new(runtime(), config);
    lab.record(0..1000);
    lab.hand_over();
    let sink = &lab.pipeline.stats().sinks[0];
    let dropped = sink.dropped.get(DropReason::BacklogFull);
    assert!(dropped > 0 && sink.queued > 0, "{sink:?}");
    assert_eq!(dropped + sink.queued, 1000);
}

#[test]
fn the_backlog_is_bounded_by_age() {
    let (_socket, address) = refusing_port();
    let mut config = config(Protocol::HttpProtobuf, address);
    config.backlog_age = Duration::from_millis(50);
    let lab = Lab::new(runtime(), config);
    lab.record(0..100);
    let sink = &lab.flush().stats.sinks[0];
    assert_eq!(
        (sink.exported, sink.dropped.get(DropReason::Expired)),
        (0, 100)
    );
}

#[test]
fn a_collector_that_never_answers_delays_a_flush_no_longer_than_its_deadline() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let runtime = runtime();
        let collector = Collector::new(std::iter::repeat_n(Reply::Silence, 1000));
        let address = collector.serve(&runtime, protocol);
        let lab = Lab::new(runtime, config(protocol, address));
        lab.record(0..10);
        let report = lab
            .pipeline
            .flush(Instant::now() + Duration::from_millis(50));
        assert!(!report.is_complete);
        assert_eq!(report.stats.sinks[0].queued, 10);
        let report = lab.shutdown(Duration::from_millis(50));
        assert_eq!(report.stats.sinks[0].dropped.get(DropReason::Shutdown), 10);
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up_and_made_again() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let runtime = runtime();
        let collector = Collector::new([Reply::Silence]);
        let address = collector.serve(&runtime, protocol);
        let mut config = config(protocol, address);
        config.timeout = Duration::from_millis(200);
        let lab = Lab::new(runtime, config);
        lab.record(0..10);
        assert_eq!(lab.flush().stats.sinks[0].exported, 10);
        assert!(collector.requests() >= 2);
    }
}

#[test]
fn a_collector_that_asks_for_a_pause_gets_it() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let runtime = runtime();
        let collector = Collector::new([Reply::Throttle(Duration::from_secs(3600))]);
        let address = collector.serve(&runtime, protocol);
        let lab = Lab::new(runtime, config(protocol, address));
        lab.record(0..10);
        lab.hand_over();
        eventually("the refusal", || {
            !log::lines(&address.to_string()).is_empty()
        });
        // A flush hurries the exporter, and still it waits.
        let report = lab
            .pipeline
            .flush(Instant::now() + Duration::from_millis(100));
        assert!(!report.is_complete);
        assert_eq!(collector.requests(), 1);
    }
}

#[test]
fn a_flush_does_not_wait_for_the_exporters_own_pause() {
    let unavailable = Reply::Refuse(Code::Unavailable, http::StatusCode::SERVICE_UNAVAILABLE);
    let runtime = runtime();
    let collector = Collector::new([unavailable]);
    let address = collector.serve_grpc(&runtime);
    let mut config = config(Protocol::Grpc, address);
    config.backoff_initial = Duration::from_secs(3600);
    let lab = Lab::new(runtime, config);
    lab.record(0..10);
    lab.hand_over();
    eventually("the refusal", || {
        !log::lines(&address.to_string()).is_empty()
    });
    assert_eq!(lab.flush().stats.sinks[0].exported, 10);
}

#[test]
fn a_runtime_that_ends_first_takes_its_spans_along_and_says_so() {
    let runtime = runtime();
    let collector = Collector::new([Reply::Silence]);
    let address = collector.serve_grpc(&runtime);
    let mut lab = Lab::new(runtime, config(Protocol::Grpc, address));
    lab.record(0..10);
    lab.hand_over();
    eventually("the request", || collector.requests() == 1);
    drop(lab.runtime.take());
    let sink = &lab.flush().stats.sinks[0];
    assert_eq!(sink.dropped.get(DropReason::SinkClosed), 10);
    lab.record(10..20);
    let sink = &lab.flush().stats.sinks[0];
    assert_eq!(sink.dropped.get(DropReason::SinkClosed), 20);
}

#[test]
fn a_warning_tells_what_the_collector_said_and_no_secret() {
    let runtime = runtime();
    let refusal = Reply::Refuse(Code::Unauthenticated, http::StatusCode::UNAUTHORIZED);
    let collector = Collector::new([refusal.clone(), refusal]);
    let address = collector.serve_grpc(&runtime);
    let mut config = config(Protocol::Grpc, address);
    config.headers.insert(
        "authorization",
        http::HeaderValue::from_static("Bearer top-secret"),
    );
    assert!(!format!("{config:?}").contains("top-secret"));
    let lab = Lab::new(runtime, config);
    lab.record(0..20);
    lab.flush();
    let lines = log::lines(&address.to_string());
    let [(Level::WARN, line)] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(line.contains("told to refuse"), "{line}");
    assert!(!line.contains("top-secret"), "{line}");
}

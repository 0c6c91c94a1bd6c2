//! An HTTP/1 listener that nobody can hold up: a client must say within a time what it wants.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for a request's head, also for the next one on a connection that is kept.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for lack of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

type Connection = http1::UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Serves until `end`, then lets the requests that run come to theirs.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    end: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout);
    let connections = TaskTracker::new();
    while let Some(stream) = end.run_until_cancelled(accept(&listener)).await {
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        connections.spawn(to_its_end(connection.with_upgrades(), end.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves a connection; at the end its request is answered, and no further one read.
async fn to_its_end(connection: Connection, end: CancellationToken) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection has ended");
    }
}

/// The next connection, whatever becomes of the others.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => match stream.set_nodelay(true) {
                Ok(()) => return stream,
                // It has gone already.
                Err(error) => error,
            },
            Err(error) => error,
        };
        tracing::debug!(%error, "an HTTP connection could not be accepted");
        if !is_about_the_peer(&error) {
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells when there are descriptors again"
            )]
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn start(head_timeout: Duration) -> (TcpStream, TcpStream, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let end = CancellationToken::new();
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(serve(listener, router, head_timeout, end.clone()));
        let connect = || async { TcpStream::connect(address).await.expect("it listens") };
        (connect().await, connect().await, end)
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text))
            .await
            .expect("the server closes")
            .expect("text");
        text
    }

    #[tokio::test]
    async fn half_a_head_is_waited_for_a_while_and_nobody_else_waits() {
        let (mut slow, mut other, _end) = start(Duration::from_millis(200)).await;
        slow.write_all(b"GET / HTTP/1.1\r\nhost: l")
            .await
            .expect("sent");
        other
            .write_all(b"GET / HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n")
            .await
            .expect("sent");
        assert!(read(&mut other).await.ends_with("here"));
        assert!(!read(&mut slow).await.contains("here"));
    }

    #[tokio::test]
    async fn at_the_end_connections_are_closed() {
        let (mut kept, _, end) = start(PATIENCE).await;
        kept.write_all(b"GET / HTTP/1.1\r\nhost: l\r\n\r\n")
            .await
            .expect("sent");
        let mut byte = [0];
        timeout(PATIENCE, kept.read_exact(&mut byte))
            .await
            .expect("in time")
            .expect("an answer begins");
        end.cancel();
        assert!(read(&mut kept).await.ends_with("here"));
    }
}

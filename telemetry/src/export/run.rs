//! The loop of an exporter: send what waits, oldest first; after a failure pause, then try with one request.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::timeout_at;

use super::Transport;
use super::backlog::Backlog;
use super::backoff::Backoff;
use super::config::ExporterConfig;
use super::outcome::{Accepted, Refusal, Retry};
use super::voice::Voice;
use crate::sink::DropReason;

type Attempt = Result<Accepted, Refusal>;

pub(super) async fn run(backlog: Arc<Backlog>, transport: Transport, config: ExporterConfig) {
    // When the runtime goes away before the exporter does, nobody will send the rest.
    let _closed = CloseOnDrop(&backlog);
    let mut backoff = Backoff::new(config.backoff_initial, config.backoff_max);
    let mut voice = Voice::new(config.address());
    let mut sending = JoinSet::new();
    while !backlog.is_closed() {
        if backlog.take_hurry() {
            backoff.hurry();
        }
        let now = Instant::now();
        let expiry = backlog.expire(now);
        while sending.len() < backoff.allowed(now, config.in_flight)
            && backlog.launch(|request| {
                let (transport, limit) = (transport.clone(), config.timeout);
                let attempt = async move { transport.send(request, limit).await };
                sending.spawn(attempt).id()
            })
        {}
        let wake = backoff.wait(now).into_iter().chain(expiry).min();
        tokio::select! {
            Some(ended) = sending.join_next_with_id() => {
                settle(&backlog, &mut backoff, &mut voice, ended);
            }
            () = backlog.changed.notified() => {}
            () = until(wake) => {}
        }
    }
}

fn settle(
    backlog: &Backlog,
    backoff: &mut Backoff,
    voice: &mut Voice,
    ended: Result<(task::Id, Attempt), JoinError>,
) {
    match ended {
        Ok((task, Ok(answer))) => {
            backoff.succeeded();
            backlog.accepted(task, &answer);
            voice.accepted(&answer, || backlog.take_lost());
        }
        Ok((task, Err(refusal))) => {
            if refusal.retry == Retry::Never {
                // The way is fine, this request is not: the next one goes at once.
                backoff.succeeded();
                backlog.fail(task);
            } else {
                backoff.failed(Instant::now(), refusal.retry);
                backlog.retry(task);
            }
            voice.refused(&refusal, || backlog.take_lost());
        }
        Err(error) => {
            backlog.fail(error.id());
            let refusal = Refusal::new(Retry::Never, error.to_string());
            voice.refused(&refusal, || backlog.take_lost());
        }
    }
}

async fn until(moment: Option<Instant>) {
    let never = std::future::pending::<()>();
    match moment {
        None => never.await,
        Some(moment) => {
            // That it ends by its timeout is the point.
            let _elapsed = timeout_at(moment.into(), never).await;
        }
    }
}

struct CloseOnDrop<'a>(&'a Backlog);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close(DropReason::SinkClosed);
    }
}

//! Starts the agents in their order, starts again what fails, stops all.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::lines::Prefix;
use super::process::{Process, Surroundings};
use crate::cli::Terminal;
use crate::client::BridgeClient;
use crate::config::{AgentProcess, Restart};
use crate::env::Environment;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who ran for so long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(30);
/// How often the directory is asked whether an agent is there.
const LOOK: Duration = Duration::from_millis(50);

/// All processes of a run.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<Ended>,
}

/// How an agent's last process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub agent: String,
    /// True when its exit code was 0, or when we stopped it and it obeyed.
    pub is_good: bool,
}

impl Supervisor {
    /// Starts every agent, each when those that it comes after are connected.
    pub fn start(
        agents: &BTreeMap<String, AgentProcess>,
        surroundings: &Surroundings,
        bridge: &BridgeClient,
        environment: &Arc<dyn Environment + Send + Sync>,
        terminal: Terminal,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let width = agents.keys().map(String::len).max().unwrap_or(0);
        for (place, (id, agent)) in agents.iter().enumerate() {
            let supervised = Supervised {
                id: id.clone(),
                agent: agent.clone(),
                surroundings: surroundings.clone(),
                bridge: bridge.clone(),
                environment: Arc::clone(environment),
                prefix: Prefix::new(id, width, place, terminal),
                stop: stop.clone(),
            };
            tasks.spawn(supervised.run());
        }
        Self { stop, tasks }
    }

    /// The next agent that ended for good; `None` when none is left.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub async fn next_ended(&mut self) -> Option<Ended> {
        match self.tasks.join_next().await? {
            Ok(ended) => Some(ended),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Stops every process and waits for it.
    pub async fn stop(mut self) -> Vec<Ended> {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(ended) = self.next_ended().await {
            all.push(ended);
        }
        all
    }
}

struct Supervised {
    id: String,
    agent: AgentProcess,
    surroundings: Surroundings,
    bridge: BridgeClient,
    environment: Arc<dyn Environment + Send + Sync>,
    prefix: Prefix,
    stop: CancellationToken,
}

impl Supervised {
    async fn run(self) -> Ended {
        let stop = self.stop.clone();
        let waited = stop.run_until_cancelled(self.wait_for_others()).await;
        let is_good = if waited.is_none() {
            true
        } else {
            self.keep_running().await
        };
        Ended {
            agent: self.id,
            is_good,
        }
    }

    /// The directory knows who is connected.
    async fn wait_for_others(&self) {
        let mut missing = self.agent.after.clone();
        if missing.is_empty() {
            return;
        }
        self.prefix
            .note(&format!("waits for {}", missing.join(", ")));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !missing.is_empty() {
            look.tick().await;
            match self.bridge.agents().await {
                Ok(present) => {
                    missing.retain(|id| present.iter().all(|agent| agent.agent_id != *id));
                }
                Err(error) => tracing::debug!(%error, "the bridge did not say who is there"),
            }
        }
    }

    /// Whether the last process ended well.
    async fn keep_running(&self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let mut process = match Process::start(
                &self.id,
                &self.agent,
                &self.surroundings,
                &*self.environment,
                &self.prefix,
            ) {
                Ok(process) => process,
                Err(error) => {
                    // What cannot be started now will not be there in a moment either.
                    self.prefix.note(&error.to_string());
                    return false;
                }
            };
            let ended = tokio::select! {
                ended = process.ended() => ended,
                () = self.stop.cancelled() => return self.stopped(&process.stop(self.surroundings.grace).await),
            };
            let is_good = matches!(&ended, Ok(status) if status.success());
            self.prefix.note(&describe(&ended));
            if !again(self.agent.restart, is_good) {
                return is_good;
            }
            if begun.elapsed() >= STABLE {
                pause = FIRST_PAUSE;
            }
            self.prefix.note(&format!("starts again in {pause:?}"));
            #[expect(
                clippy::disallowed_methods,
                reason = "the pause between restarts is the point"
            )]
            let rest = sleep(pause);
            if self.stop.run_until_cancelled(rest).await.is_none() {
                return true;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether an agent that was asked to end did so: by itself, or by the signal. One that had to be killed did not.
    fn stopped(&self, ended: &io::Result<ExitStatus>) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let is_good = matches!(ended, Ok(status) if status.success()
            || status.signal() == Some(rustix::process::Signal::TERM.as_raw()));
        if !is_good {
            self.prefix.note(&describe(ended));
        }
        is_good
    }
}

fn again(restart: Restart, is_good: bool) -> bool {
    match restart {
        Restart::Always => true,
        Restart::OnFailure => !is_good,
        Restart::Never => false,
    }
}

fn describe(ended: &io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) if status.success() => "has ended".to_owned(),
        Ok(status) => format!("has ended badly: {status}"),
        Err(error) => format!("cannot be waited for: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides() {
        assert!(again(Restart::Always, true) && again(Restart::Always, false));
        assert!(!again(Restart::OnFailure, true) && again(Restart::OnFailure, false));
        assert!(!again(Restart::Never, true) && !again(Restart::Never, false));
    }
}

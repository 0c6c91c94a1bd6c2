//! One agent as a process of ours.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::find_interpreter;
use super::lines::{Prefix, Stream, show};
use crate::config::{AgentProcess, Token};
use crate::env::{self, Environment};
use crate::percent;

/// What every agent of a run gets to know.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The bridge: `host:port`.
    pub bridge: String,
    /// Where spans go, and in which protocol.
    pub otlp: Option<(String, &'static str)>,
    /// What the server asks for.
    pub token: Option<Token>,
    /// How long an agent may take to end.
    pub grace: Duration,
}

/// A process that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{program}` in {}: {source}; is it installed, and is agents.{agent}.command right?", cwd.display())]
pub struct ProcessError {
    agent: String,
    program: String,
    cwd: PathBuf,
    source: io::Error,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    output: JoinSet<()>,
}

impl Surroundings {
    /// The variables that an agent gets beyond those of `loom run` and its own: `None` takes one away.
    fn variables(
        &self,
        agent: &AgentProcess,
        inherited: &dyn Environment,
    ) -> Vec<(&'static str, Option<String>)> {
        let is_set = |name: &str| agent.env.contains_key(name) || inherited.get(name).is_some();
        let mut variables = vec![(env::LOOM_ADDRESS, Some(self.bridge.clone()))];
        // Spans go where the user said, else to the server of this run.
        if let Some((endpoint, protocol)) = &self.otlp
            && !is_set(env::OTEL_EXPORTER_OTLP_ENDPOINT)
            && !is_set(env::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
        {
            variables.push((env::OTEL_EXPORTER_OTLP_ENDPOINT, Some(endpoint.clone())));
            variables.push((
                env::OTEL_EXPORTER_OTLP_PROTOCOL,
                Some((*protocol).to_owned()),
            ));
            if let Some(token) = &self.token
                && !is_set(env::OTEL_EXPORTER_OTLP_HEADERS)
            {
                let header = format!("authorization=Bearer%20{}", percent::encode(token.expose()));
                variables.push((env::OTEL_EXPORTER_OTLP_HEADERS, Some(header)));
            }
        }
        if let Some(token) = &self.token {
            variables.push((env::LOOM_TOKEN, Some(token.expose().to_owned())));
        }
        // One name for all processes would make them one service.
        variables.push((env::OTEL_SERVICE_NAME, None));
        if !is_set("PYTHONUNBUFFERED") {
            variables.push(("PYTHONUNBUFFERED", Some("1".to_owned())));
        }
        // What the file says about this agent wins over all of it.
        variables.retain(|(name, _)| !agent.env.contains_key(*name));
        variables
    }
}

impl Process {
    /// Starts the agent `id`.
    pub(super) fn start(
        id: &str,
        agent: &AgentProcess,
        surroundings: &Surroundings,
        inherited: &dyn Environment,
        prefix: &Prefix,
    ) -> Result<Self, ProcessError> {
        let program = program(agent, inherited);
        let mut command = Command::new(&program);
        command
            .args(&agent.args)
            .current_dir(&agent.cwd)
            .envs(&agent.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C comes to us alone, and we end the agent with all that it has started.
            .process_group(0)
            .kill_on_drop(true);
        for (name, value) in surroundings.variables(agent, inherited) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().map_err(|source| ProcessError {
            agent: id.to_owned(),
            program: program.to_string_lossy().into_owned(),
            cwd: agent.cwd.clone(),
            source,
        })?;
        let mut output = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            output.spawn(show(stdout, Stream::Stdout, prefix.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            output.spawn(show(stderr, Stream::Stderr, prefix.clone()));
        }
        Ok(Self { child, output })
    }

    /// Waits until it ends, and until what it printed is shown.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // A grandchild may hold the pipes open for ever.
        let all_shown = async { while self.output.join_next().await.is_some() {} };
        if timeout(Duration::from_secs(1), all_shown).await.is_err() {
            self.output.abort_all();
        }
        Ok(status)
    }

    /// Asks it to end, and ends it when the grace is over.
    pub(super) async fn stop(mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        if let Ok(ended) = timeout(grace, self.ended()).await {
            return ended;
        }
        self.signal(Signal::KILL);
        self.ended().await
    }

    fn signal(&self, signal: Signal) {
        // No id means that it has ended; its number may be somebody else's by now.
        let group = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(group) = group
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "a process has ended before its signal");
        }
    }
}

/// A relative path is meant from the agent's directory, as a shell there would.
fn program(agent: &AgentProcess, inherited: &dyn Environment) -> OsString {
    if agent.command == "python" {
        return find_interpreter(&agent.cwd, inherited).into_os_string();
    }
    let path = Path::new(&agent.command);
    if path.is_relative() && path.components().count() > 1 {
        let beside = agent.cwd.join(path);
        return std::path::absolute(&beside)
            .unwrap_or(beside)
            .into_os_string();
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn agent(text: &str) -> AgentProcess {
        toml::from_str(text).expect("an agent")
    }

    fn surroundings() -> Surroundings {
        Surroundings {
            bridge: "127.0.0.1:1".to_owned(),
            otlp: Some(("http://127.0.0.1:2".to_owned(), "grpc")),
            token: Some(Token::new("0123456789abcd+/").expect("good")),
            grace: Duration::from_secs(1),
        }
    }

    fn variables(
        agent: &AgentProcess,
        inherited: &[(&str, &str)],
    ) -> BTreeMap<&'static str, Option<String>> {
        let inherited: BTreeMap<_, _> = inherited
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        surroundings()
            .variables(agent, &inherited)
            .into_iter()
            .collect()
    }

    #[test]
    fn an_agent_finds_the_server_of_its_run() {
        let given = variables(&agent("command = 'x'"), &[]);
        assert_eq!(given[env::LOOM_ADDRESS].as_deref(), Some("127.0.0.1:1"));
        assert_eq!(
            given[env::OTEL_EXPORTER_OTLP_ENDPOINT].as_deref(),
            Some("http://127.0.0.1:2")
        );
        assert_eq!(
            given[env::OTEL_EXPORTER_OTLP_HEADERS].as_deref(),
            Some("authorization=Bearer%200123456789abcd%2B%2F")
        );
        assert_eq!(
            given[env::OTEL_SERVICE_NAME],
            None,
            "one name for all would make them one service"
        );
    }

    #[test]
    fn a_collector_that_the_user_named_is_kept() {
        for name in [
            env::OTEL_EXPORTER_OTLP_ENDPOINT,
            env::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
        ] {
            let given = variables(&agent("command = 'x'"), &[(name, "http://192.0.2.1:4317")]);
            assert!(!given.contains_key(env::OTEL_EXPORTER_OTLP_ENDPOINT));
            assert!(
                !given.contains_key(env::OTEL_EXPORTER_OTLP_HEADERS),
                "no token for others"
            );
        }
    }

    #[test]
    fn the_file_wins_over_what_is_given() {
        let own =
            agent("command = 'x'\nenv = { OTEL_SERVICE_NAME = 'mine', LOOM_ADDRESS = 'there:1' }");
        let given = variables(&own, &[]);
        assert!(
            !given.contains_key(env::OTEL_SERVICE_NAME) && !given.contains_key(env::LOOM_ADDRESS)
        );
    }

    #[test]
    fn a_relative_program_is_meant_from_the_agents_directory() {
        let inherited = BTreeMap::new();
        assert!(
            program(&agent("command = './x'\ncwd = '/a/b'"), &inherited)
                .to_string_lossy()
                .starts_with("/a/b/")
        );
        assert_eq!(
            program(&agent("command = 'sh'\ncwd = '/a/b'"), &inherited),
            "sh"
        );
    }
}

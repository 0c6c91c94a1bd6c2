//! The processes that `loom run` starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, wrong};

/// One process with one agent, whose id is the name of the table `[agents.<id>]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentProcess {
    /// The program; `python` means the interpreter of the project.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables besides those of `loom run` itself.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory, relative to the file.
    #[serde(default = "here")]
    pub cwd: PathBuf,
    /// What happens when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// Agents that must be connected before this process starts.
    #[serde(default)]
    pub after: Vec<String>,
}

/// When a process that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// When its exit code is not 0, or a signal ended it.
    #[default]
    OnFailure,
    /// Whatever it said.
    Always,
    /// Never.
    Never,
}

fn here() -> PathBuf {
    PathBuf::from(".")
}

/// Names exist, and nobody waits for himself.
pub(super) fn validate(agents: &BTreeMap<String, AgentProcess>) -> Result<(), ConfigError> {
    for (id, agent) in agents {
        if id.is_empty()
            || id.len() > 128
            || !id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        {
            let detail =
                "an agent's id consists of letters, digits, `_`, `.` and `-`, at most 128 of them";
            return Err(wrong(format!("agents.{id:?}"), detail));
        }
        if agent.command.trim().is_empty() {
            return Err(wrong(format!("agents.{id}.command"), "names no program"));
        }
        if let Some(missing) = agent
            .after
            .iter()
            .find(|other| !agents.contains_key(*other))
        {
            return Err(wrong(
                format!("agents.{id}.after"),
                format!("there is no agent `{missing}` in this file"),
            ));
        }
    }
    match waits_for_itself(agents) {
        Some(id) => {
            let detail = "this agent would wait for itself, through the agents that it waits for";
            Err(wrong(format!("agents.{id}.after"), detail))
        }
        None => Ok(()),
    }
}

/// Takes away, again and again, the agents that wait for nobody who is left.
fn waits_for_itself(agents: &BTreeMap<String, AgentProcess>) -> Option<&String> {
    let mut left: BTreeMap<_, _> = agents.iter().collect();
    loop {
        let waiting =
            |agent: &AgentProcess| agent.after.iter().any(|other| left.contains_key(other));
        let free: Vec<_> = left
            .iter()
            .filter(|(_, agent)| !waiting(agent))
            .map(|(id, _)| *id)
            .collect();
        if free.is_empty() {
            return left.into_keys().next();
        }
        for id in free {
            left.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(text: &str) -> Result<(), String> {
        let agents: BTreeMap<String, AgentProcess> =
            toml::from_str(text).map_err(|error| error.to_string())?;
        validate(&agents).map_err(|error| error.to_string())
    }

    #[test]
    fn an_agent_needs_only_its_command() {
        agents(
            "[a]\ncommand = 'python'\n[b]\ncommand = 'x'\nafter = ['a']\nrestart = 'on-failure'",
        )
        .expect("valid");
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let error = |text: &str| agents(text).expect_err("wrong");
        assert!(error("[a]\ncommand = ''").contains("agents.a.command"));
        assert!(error("[a]\ncommand = 'x'\nafter = ['b']").contains("no agent `b`"));
        assert!(error("[a]\ncommand = 'x'\nafter = ['a']").contains("agents.a.after"));
        assert!(
            error("[a]\ncommand='x'\nafter=['b']\n[b]\ncommand='x'\nafter=['a']")
                .contains("wait for itself")
        );
        assert!(error("['a b']\ncommand = 'x'").contains("letters, digits"));
        assert!(error("[a]\ncommand = 'x'\nrestrat = 'always'").contains("restrat"));
    }
}

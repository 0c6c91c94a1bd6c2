//! Which agents are connected. One process has an agent id at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom_telemetry::ids::now_unix_nano;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::broker::Capability;
use crate::subscriber::Subscription;

/// A connected agent.
#[derive(Debug)]
pub struct AgentEntry {
    /// Its id, unique among the connected ones.
    pub agent_id: String,
    /// Its process and start.
    pub instance_id: String,
    /// Name and version of its client library.
    pub client: String,
    /// What it listens to.
    pub subscriptions: Vec<Subscription>,
    /// What it provides.
    pub capabilities: Vec<Capability>,
    /// Nanoseconds since the Unix epoch.
    pub connected_unix_nano: u64,
    last_seen_unix_nano: AtomicU64,
    replaced: Notify,
}

/// The agents that are connected; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    agents: Arc<RwLock<BTreeMap<String, Arc<AgentEntry>>>>,
}

/// Holds an agent's place for as long as it lives.
#[derive(Debug)]
pub struct Presence {
    directory: Directory,
    entry: Arc<AgentEntry>,
}

/// Another process has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "agent id {agent_id:?} is in use by instance {instance_id}: stop that process, or start this one under another id"
)]
pub struct AgentIdInUse {
    /// The id.
    pub agent_id: String,
    /// Who has it.
    pub instance_id: String,
}

impl AgentEntry {
    /// An agent that has just connected.
    pub fn new(
        agent_id: String,
        instance_id: String,
        client: String,
        subscriptions: Vec<Subscription>,
        capabilities: Vec<Capability>,
    ) -> Self {
        let now = now_unix_nano();
        Self {
            agent_id,
            instance_id,
            client,
            subscriptions,
            capabilities,
            connected_unix_nano: now,
            last_seen_unix_nano: AtomicU64::new(now),
            replaced: Notify::new(),
        }
    }

    /// When it last said anything: nanoseconds since the Unix epoch.
    pub fn last_seen_unix_nano(&self) -> u64 {
        self.last_seen_unix_nano.load(Ordering::Relaxed)
    }
}

impl Directory {
    /// Takes the place of an agent id. The same instance takes it from its own former connection, whose session then
    /// ends; the place of another instance is refused.
    ///
    /// # Errors
    /// Another instance has the id.
    pub fn enter(&self, entry: AgentEntry) -> Result<Presence, AgentIdInUse> {
        let entry = Arc::new(entry);
        let mut agents = self.agents.write();
        if let Some(present) = agents.get(&entry.agent_id) {
            if present.instance_id != entry.instance_id {
                return Err(AgentIdInUse {
                    agent_id: entry.agent_id.clone(),
                    instance_id: present.instance_id.clone(),
                });
            }
            present.replaced.notify_one();
        }
        agents.insert(entry.agent_id.clone(), Arc::clone(&entry));
        drop(agents);
        Ok(Presence {
            directory: self.clone(),
            entry,
        })
    }

    /// Everybody, sorted by id.
    pub fn list(&self) -> Vec<Arc<AgentEntry>> {
        self.agents.read().values().cloned().collect()
    }

    /// How many are connected.
    pub fn len(&self) -> usize {
        self.agents.read().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Presence {
    /// The agent.
    pub fn entry(&self) -> &Arc<AgentEntry> {
        &self.entry
    }

    /// The agent said something.
    pub fn seen(&self) {
        self.entry
            .last_seen_unix_nano
            .store(now_unix_nano(), Ordering::Relaxed);
    }

    /// Waits until a newer connection of the same instance has taken the place.
    pub async fn replaced(&self) {
        self.entry.replaced.notified().await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut agents = self.directory.agents.write();
        // A newer connection may have the place already.
        if agents
            .get(&self.entry.agent_id)
            .is_some_and(|present| Arc::ptr_eq(present, &self.entry))
        {
            agents.remove(&self.entry.agent_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(instance: &str) -> AgentEntry {
        AgentEntry::new(
            "a".into(),
            instance.into(),
            "test".into(),
            Vec::new(),
            Vec::new(),
        )
    }

    #[test]
    fn another_instance_is_refused_while_the_first_is_there() {
        let directory = Directory::default();
        let first = directory.enter(agent("1")).expect("free");
        let error = directory.enter(agent("2")).expect_err("in use");
        assert_eq!(error.instance_id, "1");
        drop(first);
        assert!(directory.is_empty());
        directory.enter(agent("2")).expect("free again");
    }

    #[tokio::test]
    async fn the_same_instance_replaces_itself_and_its_old_guard_changes_nothing() {
        let directory = Directory::default();
        let old = directory.enter(agent("1")).expect("free");
        let new = directory.enter(agent("1")).expect("replaced");
        old.replaced().await;
        drop(old);
        assert_eq!(directory.len(), 1);
        drop(new);
        assert_eq!(directory.len(), 0);
    }
}

//! A connected agent, as `ListAgents` tells of it.

use loom_core::{Acknowledged, AgentEntry, Qos};
use loom_proto::v1;

use crate::start;

pub(crate) fn agent_info(entry: &AgentEntry) -> v1::AgentInfo {
    let qos = |qos| match qos {
        Qos::Realtime => v1::Qos::Realtime,
        Qos::Batched => v1::Qos::Batched,
        Qos::Background => v1::Qos::Background,
    };
    v1::AgentInfo {
        agent_id: entry.agent_id.clone(),
        instance_id: entry.instance_id.clone(),
        client: entry.client.clone(),
        subscriptions: entry
            .subscriptions
            .iter()
            .map(|subscription| v1::Subscription {
                id: subscription.id,
                pattern: subscription.pattern.clone(),
                qos: qos(subscription.qos).into(),
                capacity: u32::try_from(subscription.capacity).unwrap_or(u32::MAX),
                acknowledged: subscription.acknowledged.as_ref().map(share),
            })
            .collect(),
        capabilities: entry
            .capabilities
            .iter()
            .map(|capability| v1::Capability {
                name: capability.name.clone(),
                description: capability.description.clone(),
                input_schema: capability.input_schema.clone(),
            })
            .collect(),
        connected_unix_nano: entry.connected_unix_nano,
        last_seen_unix_nano: entry.last_seen_unix_nano(),
    }
}

fn share(share: &Acknowledged) -> v1::Acknowledged {
    let said = v1::Acknowledged {
        group: share.group.clone(),
        max_in_flight: u32::try_from(share.max_in_flight).unwrap_or(u32::MAX),
        max_attempts: share.max_attempts,
        timeout_ms: u32::try_from(share.timeout.as_millis()).unwrap_or(u32::MAX),
        ..v1::Acknowledged::default()
    };
    start::write(share.start, said)
}

//! The first message of a stream: who is it, what does it want, may it.

use std::time::Duration;

use loom_core::broker::OWN_PREFIX;
use loom_core::{Acknowledged, Capability, Qos, Subscription};
use loom_proto::wire::{Field, Fields, Value, number};
use loom_proto::{Code, topic, v1};
use prost::Message;

use crate::config::BridgeConfig;
use crate::liveness::Liveness;
use crate::start;

/// A checked Hello.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) agent_id: String,
    pub(crate) instance_id: String,
    pub(crate) client: String,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) credit: u32,
    pub(crate) liveness: Liveness,
}

const MAX_INSTANCE_ID: usize = 64;
const MAX_CLIENT: usize = 128;

/// Reads the first frame.
///
/// # Errors
/// It holds anything but a Hello, or the Hello breaks a rule; the field is named.
pub(crate) fn read(frame: &[u8], config: &BridgeConfig) -> Result<Hello, v1::Error> {
    check(decode(frame)?, config)
}

fn decode(frame: &[u8]) -> Result<v1::Hello, v1::Error> {
    let mut hello = None;
    for field in Fields::of(frame) {
        match field.map_err(|error| malformed(&error))? {
            Field {
                number: number::HELLO,
                value: Value::Bytes(bytes),
            } if hello.is_none() => {
                hello = Some(v1::Hello::decode(bytes).map_err(|error| malformed(&error))?);
            }
            _ => {
                return Err(v1::Error::new(
                    Code::HelloExpected,
                    "the first message of a stream holds Hello and nothing else",
                ));
            }
        }
    }
    hello.ok_or_else(|| {
        v1::Error::new(
            Code::HelloExpected,
            "the first message of a stream must be Hello",
        )
    })
}

fn malformed(error: &dyn std::fmt::Display) -> v1::Error {
    v1::Error::new(
        Code::MalformedFrame,
        format!("the first message is no ClientEvent: {error}"),
    )
}

fn check(hello: v1::Hello, config: &BridgeConfig) -> Result<Hello, v1::Error> {
    if let Some(token) = &config.token
        && !same_secret(token.as_bytes(), hello.token.as_bytes())
    {
        return Err(v1::Error::new(
            Code::Unauthenticated,
            "the token is missing or wrong: set LOOM_TOKEN to the server's token",
        )
        .at("hello.token"));
    }
    if !topic::is_valid_agent_id(&hello.agent_id) {
        return Err(v1::Error::new(
            Code::InvalidAgentId,
            format!(
                "agent id {:?} is not valid: use 1 to {} letters, digits, _, . and -",
                clip(&hello.agent_id),
                topic::AGENT_ID_MAX_LEN
            ),
        )
        .at("hello.agent_id"));
    }
    for (field, value, max) in [
        ("hello.instance_id", &hello.instance_id, MAX_INSTANCE_ID),
        ("hello.client", &hello.client, MAX_CLIENT),
    ] {
        if value.len() > max {
            let message = format!(
                "{field} has {} bytes; at most {max} are allowed",
                value.len()
            );
            return Err(v1::Error::new(Code::InvalidAgentId, message).at(field));
        }
    }
    if hello.subscriptions.len() > config.max_subscriptions {
        return Err(v1::Error::new(
            Code::TooManySubscriptions,
            format!(
                "{} subscriptions; at most {} are allowed: use patterns, or raise bridge.max_subscriptions",
                hello.subscriptions.len(),
                config.max_subscriptions
            ),
        )
        .at("hello.subscriptions"));
    }
    Ok(Hello {
        liveness: Liveness::of(&hello, config),
        subscriptions: subscriptions(hello.subscriptions, &hello.agent_id)?,
        agent_id: hello.agent_id,
        instance_id: hello.instance_id,
        client: hello.client,
        capabilities: capabilities(hello.capabilities, config)?,
        credit: hello.credit,
    })
}

fn subscriptions(
    wanted: Vec<v1::Subscription>,
    agent_id: &str,
) -> Result<Vec<Subscription>, v1::Error> {
    let mut ids = rustc_hash::FxHashSet::default();
    wanted
        .into_iter()
        .map(|subscription| {
            if !ids.insert(subscription.id) {
                let message = format!("subscription id {} stands twice", subscription.id);
                return Err(
                    v1::Error::new(Code::InvalidSubscription, message).at("hello.subscriptions")
                );
            }
            let qos = match v1::Qos::try_from(subscription.qos) {
                Ok(v1::Qos::Realtime) => Qos::Realtime,
                Ok(v1::Qos::Batched | v1::Qos::Unspecified) => Qos::Batched,
                Ok(v1::Qos::Background) => Qos::Background,
                Err(_) => {
                    let message = format!(
                        "subscription {} has the unknown qos {}",
                        subscription.id, subscription.qos
                    );
                    return Err(v1::Error::new(Code::InvalidSubscription, message)
                        .at("hello.subscriptions"));
                }
            };
            let capacity = subscription.capacity as usize;
            let share = subscription.acknowledged;
            let acknowledged = share.map(|share| acknowledged(share, agent_id)).transpose();
            let acknowledged = acknowledged.map_err(|message| {
                let message = format!("subscription {} {message}", subscription.id);
                v1::Error::new(Code::InvalidSubscription, message).at("hello.subscriptions")
            })?;
            Ok(Subscription {
                id: subscription.id,
                pattern: subscription.pattern,
                qos,
                capacity,
                acknowledged,
            })
        })
        .collect()
}

/// Without a name the group is the agent's own.
fn acknowledged(share: v1::Acknowledged, agent_id: &str) -> Result<Acknowledged, String> {
    let start = start::read(&share)?;
    Ok(Acknowledged {
        group: if share.group.is_empty() {
            agent_id.to_owned()
        } else {
            share.group
        },
        max_in_flight: share.max_in_flight as usize,
        max_attempts: share.max_attempts,
        timeout: Duration::from_millis(share.timeout_ms.into()),
        start,
    })
}

fn capabilities(
    offered: Vec<v1::Capability>,
    config: &BridgeConfig,
) -> Result<Vec<Capability>, v1::Error> {
    let refuse =
        |message: String| v1::Error::new(Code::InvalidCapability, message).at("hello.capabilities");
    if offered.len() > config.max_capabilities {
        return Err(refuse(format!(
            "{} capabilities; at most {} are allowed",
            offered.len(),
            config.max_capabilities
        )));
    }
    let mut names = rustc_hash::FxHashSet::default();
    for capability in &offered {
        if !topic::is_valid_capability(&capability.name) {
            return Err(refuse(format!(
                "capability {:?} is not valid: use 1 to {} letters, digits, _, . and -",
                clip(&capability.name),
                topic::CAPABILITY_MAX_LEN
            )));
        }
        if capability.name.starts_with(OWN_PREFIX) {
            return Err(refuse(format!(
                "capability {:?} begins with {OWN_PREFIX}, as the server's own do: use another name",
                capability.name
            )));
        }
        if !names.insert(&*capability.name) {
            return Err(refuse(format!(
                "capability {:?} stands twice",
                capability.name
            )));
        }
    }
    Ok(offered
        .into_iter()
        .map(
            |v1::Capability {
                 name,
                 description,
                 input_schema,
             }| Capability {
                name,
                description,
                input_schema,
            },
        )
        .collect())
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same_secret(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(theirs)
            .fold(0, |seen, (a, b)| seen | (a ^ b))
            == 0
}

/// A hostile name is not repeated at full length.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

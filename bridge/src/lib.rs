//! The gRPC relay between agents and the bus.
//!
//! An agent is one stream. What it sends is taken by `inbound`, in the agent's own task; what it gets is made by
//! `outbound`, polled by the connection itself: between a mailbox and the socket there is no queue and no task.
//!
//! | file | room |
//! | --- | --- |
//! | `service` | the RPCs of agents and scripts |
//! | `streams` | the RPCs of operators: dead letters, groups, what a stream keeps |
//! | `hello` | the first message: who is it, what does it want, may it |
//! | `start` | where a group begins, or a reader, as the wire says it |
//! | `inbound` | frames of an agent: control at once, events in order |
//! | `publish` | one event from the agent to the bus: `bridge.publish` (hot path) |
//! | `outbound` | frames to an agent |
//! | `lane` | what an agent's subscriptions have for it, on its way into a frame |
//! | `shares` | the agent's shares in groups: attempts out, verdicts in |
//! | `forward` | one delivery from a mailbox to the frame: `bridge.forward` (hot path) |
//! | `actions` | calls and answers, both ways |
//! | `counters` | what is refused before the bus sees it |
//! | `link` | what inbound and outbound of one agent share |
//! | [`standard`] | health and reflection |
//! | `status` | the only place where an error becomes a gRPC status |

mod actions;
mod config;
mod counters;
mod forward;
mod hello;
mod inbound;
mod lane;
mod link;
mod listing;
mod liveness;
mod outbound;
mod publish;
mod service;
mod shares;
pub mod standard;
mod start;
mod status;
mod streams;
mod sync;

pub use config::BridgeConfig;
pub use service::{Bridge, SpanStatsSource};
pub use streams::Streams;

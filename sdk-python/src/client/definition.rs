//! What an agent is made of, as Python hands it over and as Hello says it.

use loom_proto::v1;

/// Id, pattern, class of service, capacity, and the share in a group where its deliveries are acknowledged.
pub(super) type Subscription = (u32, String, i32, u32, Option<Share>);
/// Group, deliveries in flight, attempts, timeout in milliseconds; start, as a name, an offset or a time.
pub(super) type Share = (String, u32, u32, u32, i32, Option<u64>, Option<u64>);
/// Name, description, schema of the arguments.
pub(super) type Capability = (String, String, String);

pub(super) fn subscriptions(given: Vec<Subscription>) -> Vec<v1::Subscription> {
    let subscription = |(id, pattern, qos, capacity, share): Subscription| v1::Subscription {
        id,
        pattern,
        qos,
        capacity,
        acknowledged: share.map(acknowledged),
    };
    given.into_iter().map(subscription).collect()
}

fn acknowledged(
    (group, max_in_flight, max_attempts, timeout_ms, start, start_offset, start_time_unix_nano): Share,
) -> v1::Acknowledged {
    v1::Acknowledged {
        group,
        max_in_flight,
        max_attempts,
        timeout_ms,
        start,
        start_offset,
        start_time_unix_nano,
    }
}

pub(super) fn capabilities(given: Vec<Capability>) -> Vec<v1::Capability> {
    let capability = |(name, description, input_schema)| v1::Capability {
        name,
        description,
        input_schema,
    };
    given.into_iter().map(capability).collect()
}

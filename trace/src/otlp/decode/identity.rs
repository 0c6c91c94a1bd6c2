//! Whom a span is about, from the attributes that say so under their many names.

use crate::model::{Attributes, Identity, Value};

/// What these attributes say. Of several for one thing the first counts that has a value.
pub(super) fn identity(attributes: &Attributes) -> Identity {
    let mut found = Identity::default();
    for (key, value) in attributes.iter() {
        // Most keys are none of them, and pay for a look at their end.
        if !key.ends_with("id") {
            continue;
        }
        let place = match key {
            "agent.id" | "agent_id" | "gen_ai.agent.id" => &mut found.agent,
            "workflow.id" | "workflow_id" | "gen_ai.workflow.id" => &mut found.workflow,
            "session.id" | "session_id" => &mut found.session,
            "user.id" | "user_id" | "enduser.id" => &mut found.user,
            "tenant.id" | "tenant_id" => &mut found.tenant,
            "thread_id" | "gen_ai.conversation.id" => &mut found.thread,
            _ => continue,
        };
        if place.is_none() && !matches!(value, Value::Empty) {
            *place = Some(value.to_text());
        }
    }
    found
}

/// What the span does not say, its process says: it may name the agent once for all spans.
pub(super) fn or(span: Identity, process: &Identity) -> Identity {
    let or = |said: Option<String>, process: &Option<String>| said.or_else(|| process.clone());
    Identity {
        agent: or(span.agent, &process.agent),
        workflow: or(span.workflow, &process.workflow),
        session: or(span.session, &process.session),
        user: or(span.user, &process.user),
        tenant: or(span.tenant, &process.tenant),
        thread: or(span.thread, &process.thread),
    }
}

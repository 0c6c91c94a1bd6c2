//! One test binary for the whole product: one link step, and each module is a suite.

mod actions;
mod attempts;
mod collector_away;
mod commands;
mod crash;
mod dashboard;
mod db;
mod dlq;
mod documents;
mod enrichment;
mod executions;
mod golden_tree;
mod groups;
mod kill_loop;
mod live;
mod load;
mod lost;
mod memory;
mod rules;
mod run;
mod security;
mod shutdown;
#[cfg(target_os = "linux")]
mod soak;
mod stats;
mod streams;
mod trace_context;
mod wrong_input;

//! The `loom` binary: composition, configuration and command line, and nothing else.
//!
//! | file | room |
//! | --- | --- |
//! | [`app`] | the composition root: binds, builds, serves, drains |
//! | [`config`] | settings: defaults < file < environment < flags |
//! | [`env`](mod@env) | every environment variable, once |
//! | [`telemetry`] | the server's own logs and spans |
//! | [`cli`] | the commands |
//! | [`client`] | talking to a server that runs |
//! | [`launcher`] | `loom run`: agents as processes |

mod accounts;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod env;
pub mod launcher;
mod letter;
mod percent;
mod shown;
pub mod telemetry;

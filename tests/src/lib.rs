//! The harness of the whole-product tests.
//!
//! Tests speak with the real binary from outside, as users do: processes, sockets, the public API. They wait by
//! predicate ([`eventually()`]), never by time, and everything that they start ends with them.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`server`] | [`TestServer`](server::TestServer): the `loom` binary as a process on free ports |
//! | [`cli`] | one `loom` command and what it said |
//! | [`agent`] | [`RawAgent`](agent::RawAgent): an agent made of raw protocol messages |
//! | [`python`] | [`PythonAgent`](python::PythonAgent): a script on the real Python package |
//! | [`spans`] | [`TraceView`](spans::TraceView): a trace as the API shows it, and its shape |
//! | [`http`] | one HTTP request and its answer |
//! | [`live`] | readers of the live stream |
//! | [`collector`] | [`Collector`](collector::Collector): an OTLP receiver that has nothing of Loom in it |
//! | [`eventually`](mod@eventually) | waiting by predicate |

pub mod agent;
pub mod cli;
pub mod collector;
pub mod eventually;
pub mod http;
pub mod live;
pub mod process;
pub mod python;
pub mod server;
pub mod spans;

pub use eventually::eventually;

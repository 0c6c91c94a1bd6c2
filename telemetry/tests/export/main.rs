//! The exporter against collectors that behave, misbehave, and are not there.

mod collector;
mod door;
mod faults;
mod lab;
mod log;
mod transports;

//! Makes the generated files again and compares them with the committed ones.
//! `LOOM_REGENERATE=1 cargo test -p loom-proto --all-features --test generated` (`make gen`) writes them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

const FILES: [&str; 4] = [
    "loom.v1.rs",
    "loom.v1.Bridge.rs",
    "loom.v1.Streams.rs",
    "loom.v1.bin",
];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["event", "bridge", "streams"].map(|name| format!("loom/v1/{name}.proto"));
    let descriptors = protox::compile(files, [root]).expect("the .proto files compile");

    let mut without_source = descriptors.clone();
    for file in &mut without_source.file {
        file.source_code_info = None;
    }
    fs::write(into.join("loom.v1.bin"), without_source.encode_to_vec())
        .expect("descriptor set is written");

    tonic_prost_build::Config::new()
        .out_dir(into)
        .bytes(["."])
        .btree_map(["."])
        .compile_fds(descriptors)
        .expect("messages are generated");

    // The stream carries frames, not messages: the bridge reads an event's head and never its payload.
    let stream = tonic_build::manual::Method::builder()
        .name("event_stream")
        .route_name("EventStream")
        .input_type("crate::frame::Frame")
        .output_type("crate::frame::Frame")
        .codec_path("crate::frame::FrameCodec")
        .client_streaming()
        .server_streaming()
        .build();
    let unary = |name: &str, route: &str| {
        tonic_build::manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("super::{route}Request"))
            .output_type(format!("super::{route}Response"))
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let bridge = tonic_build::manual::Service::builder()
        .name("Bridge")
        .package("loom.v1")
        .method(stream)
        .method(unary("publish", "Publish"))
        .method(unary("invoke", "Invoke"))
        .method(unary("list_agents", "ListAgents"))
        .method(unary("get_stats", "GetStats"))
        .build();
    let streams = tonic_build::manual::Service::builder()
        .name("Streams")
        .package("loom.v1")
        .method(unary("list_dead_letters", "ListDeadLetters"))
        .method(unary("redrive_dead_letters", "RedriveDeadLetters"))
        .method(unary("drop_dead_letters", "DropDeadLetters"))
        .method(unary("list_groups", "ListGroups"))
        .method(unary("reset_group", "ResetGroup"))
        .method(unary("read_stream", "ReadStream"))
        .build();
    tonic_build::manual::Builder::new()
        .out_dir(into)
        .compile(&[bridge, streams]);
    gate_by_feature(&into.join("loom.v1.Bridge.rs"));
    gate_by_feature(&into.join("loom.v1.Streams.rs"));
}

/// The weight of the stubs is chosen by feature, and the generator knows no features.
fn gate_by_feature(stubs: &Path) {
    let text = fs::read_to_string(stubs).expect("stubs are generated");
    let text = text
        .replace(
            "pub mod bridge_client {",
            "#[cfg(feature = \"client\")]\npub mod bridge_client {",
        )
        .replace(
            "pub mod bridge_server {",
            "#[cfg(feature = \"server\")]\npub mod bridge_server {",
        )
        .replace(
            "pub mod streams_client {",
            "#[cfg(feature = \"client\")]\npub mod streams_client {",
        )
        .replace(
            "pub mod streams_server {",
            "#[cfg(feature = \"server\")]\npub mod streams_server {",
        );
    fs::write(stubs, text).expect("stubs are written");
}

#[test]
fn committed_code_is_what_the_generator_makes() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    if env::var_os("LOOM_REGENERATE").is_some() {
        generate(&committed);
        return;
    }
    let fresh = tempfile::tempdir().expect("a temporary folder");
    generate(fresh.path());
    let read = |folder: PathBuf, name: &str| fs::read(folder.join(name)).unwrap_or_default();
    for name in FILES {
        assert!(
            read(committed.clone(), name) == read(fresh.path().into(), name),
            "src/generated/{name} is not what the .proto files give: run `make gen` and commit"
        );
    }
}

//! Makes the generated files again and compares them with the committed ones; with `LOOM_REGENERATE` set (`make gen`) writes them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

const PROTOS: [&str; 4] = [
    "api_v3/query_service.proto",
    "storage/v2/capabilities.proto",
    "storage/v2/dependency_storage.proto",
    "storage/v2/trace_storage.proto",
];
const FILES: [&str; 4] = [
    "jaeger.api_v3.rs",
    "jaeger.expression.v1.rs",
    "jaeger.storage.v2.rs",
    "jaeger.bin",
];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/third-party");
    let descriptors = protox::compile(PROTOS, [root]).expect("the .proto files compile");

    // For reflection, which names no comments.
    let mut without_source = descriptors.clone();
    for file in &mut without_source.file {
        file.source_code_info = None;
    }
    fs::write(into.join("jaeger.bin"), without_source.encode_to_vec())
        .expect("descriptor set is written");

    tonic_prost_build::configure()
        .out_dir(into)
        .build_client(false)
        .build_transport(false)
        .extern_path(".opentelemetry.proto", "::opentelemetry_proto::tonic")
        .compile_fds(descriptors)
        .expect("messages and services are generated");
    for entry in fs::read_dir(into).expect("a folder").flatten() {
        // Empty: the crate has them.
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("opentelemetry.")
        {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
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
        let fresh = read(fresh.path().into(), name);
        assert!(!fresh.is_empty(), "{name}");
        assert!(
            read(committed.clone(), name) == fresh,
            "src/generated/{name} is not what the .proto files give: run `make gen` and commit"
        );
    }
}

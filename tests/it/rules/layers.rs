//! `proto ← telemetry ← core ← journal ← trace ← bridge ← server`: who may use whom, and who may not name what.
//!
//! The rule of `docs/architecture.md`, read from the manifests, so it needs no tool. What comes in through third parties
//! is the business of `deny.toml`.

use super::workspace::{Member, assert_none, members};

struct Layer {
    name: &'static str,
    folder: &'static str,
    /// Crates of ours that it may use; tests of a crate obey the same rule.
    may_use: &'static [&'static str],
    /// Features of `loom-proto` that it may switch on; without one it sees messages and values only.
    contract: &'static [&'static str],
    /// Third-party crates that do not belong into this room; `*` at the end stands for a family.
    may_not_name: &'static [&'static str],
}

const LAYERS: [Layer; 10] = [
    Layer {
        name: "loom-proto",
        folder: "proto",
        may_use: &[],
        contract: &[],
        may_not_name: &[
            "tokio",
            "tracing*",
            "axum",
            "opentelemetry*",
            "rusqlite",
            "pyo3",
        ],
    },
    Layer {
        name: "loom-telemetry",
        folder: "telemetry",
        may_use: &["loom-proto"],
        contract: &[],
        may_not_name: &["axum", "rusqlite", "pyo3", "opentelemetry_sdk"],
    },
    Layer {
        name: "loom-core",
        folder: "core",
        may_use: &["loom-proto", "loom-telemetry"],
        contract: &[],
        may_not_name: &[
            "tonic*",
            "axum",
            "opentelemetry_*",
            "opentelemetry-*",
            "tracing-opentelemetry",
            "rusqlite",
            "pyo3",
        ],
    },
    Layer {
        name: "loom-journal",
        folder: "journal",
        may_use: &["loom-proto", "loom-core"],
        contract: &[],
        may_not_name: &["tonic*", "axum", "opentelemetry*", "rusqlite", "pyo3"],
    },
    Layer {
        name: "loom-trace",
        folder: "trace",
        may_use: &["loom-proto", "loom-telemetry"],
        contract: &[],
        may_not_name: &["pyo3", "opentelemetry_sdk"],
    },
    Layer {
        name: "loom-bridge",
        folder: "bridge",
        may_use: &["loom-proto", "loom-telemetry", "loom-core"],
        contract: &["client", "server"],
        may_not_name: &["axum", "rusqlite", "pyo3", "opentelemetry_sdk"],
    },
    Layer {
        name: "loom-server",
        folder: "server",
        may_use: &[
            "loom-proto",
            "loom-telemetry",
            "loom-core",
            "loom-journal",
            "loom-trace",
            "loom-bridge",
        ],
        contract: &["client", "server"],
        may_not_name: &["rusqlite", "pyo3"],
    },
    Layer {
        name: "loom-sdk-native",
        folder: "sdk-python",
        may_use: &["loom-proto", "loom-telemetry"],
        contract: &["client"],
        may_not_name: &["axum", "rusqlite", "opentelemetry_sdk"],
    },
    Layer {
        name: "loom-tests",
        folder: "tests",
        may_use: &[
            "loom-proto",
            "loom-telemetry",
            "loom-core",
            "loom-journal",
            "loom-trace",
            "loom-bridge",
            "loom-server",
        ],
        contract: &["client", "server"],
        may_not_name: &["pyo3"],
    },
    Layer {
        name: "loom-bench",
        folder: "bench",
        may_use: &[
            "loom-proto",
            "loom-telemetry",
            "loom-core",
            "loom-journal",
            "loom-trace",
            "loom-bridge",
        ],
        contract: &["client", "server"],
        may_not_name: &["pyo3"],
    },
];

#[test]
fn the_table_knows_every_crate() {
    let mut in_table: Vec<_> = LAYERS
        .iter()
        .map(|layer| format!("{} ({})", layer.name, layer.folder))
        .collect();
    let mut in_workspace: Vec<_> = members()
        .iter()
        .map(|member| format!("{} ({})", member.name, member.folder))
        .collect();
    in_table.sort();
    in_workspace.sort();
    assert_eq!(
        in_table, in_workspace,
        "a new crate needs its row here and in docs/architecture.md"
    );
}

#[test]
fn crates_use_only_what_stands_to_their_left() {
    let findings: Vec<_> = members()
        .iter()
        .flat_map(|member| breaches(layer_of(member), member))
        .collect();
    assert_none("crates that leave their layer", &findings);
}

fn layer_of(member: &Member) -> &'static Layer {
    LAYERS
        .iter()
        .find(|layer| layer.name == member.name)
        .unwrap_or_else(|| panic!("{} has no row", member.name))
}

fn breaches(layer: &Layer, member: &Member) -> Vec<String> {
    let mut found = Vec::new();
    for dependency in &member.dependencies {
        let name = dependency.name.as_str();
        let ours = LAYERS.iter().any(|other| other.name == name);
        if ours && !layer.may_use.contains(&name) && name != layer.name {
            found.push(format!("{} uses {name}", layer.name));
        }
        if !dependency.dev
            && layer
                .may_not_name
                .iter()
                .any(|pattern| matches(pattern, name))
        {
            found.push(format!("{} names {name}", layer.name));
        }
        if name == "loom-proto" && !dependency.dev {
            let beyond = dependency
                .features
                .iter()
                .filter(|feature| !layer.contract.contains(&feature.as_str()));
            found.extend(
                beyond.map(|feature| format!("{} switches on loom-proto's {feature}", layer.name)),
            );
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |family| name.starts_with(family))
}

#[test]
fn a_breach_of_each_kind_is_found() {
    use super::workspace::Dependency;
    let dependency = |name: &str, dev: bool, features: &[&str]| Dependency {
        name: name.to_owned(),
        dev,
        inherited: true,
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
    };
    let core = Member {
        folder: "core".to_owned(),
        name: "loom-core".to_owned(),
        dependencies: vec![
            dependency("loom-proto", false, &["server"]),
            dependency("loom-bridge", true, &[]),
            dependency("tonic-health", false, &[]),
            dependency("tokio", false, &[]),
        ],
    };
    assert_eq!(
        breaches(layer_of(&core), &core),
        [
            "loom-core switches on loom-proto's server",
            "loom-core uses loom-bridge",
            "loom-core names tonic-health"
        ]
    );
}

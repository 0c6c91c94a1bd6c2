//! Versions stand in one table, and each third-party crate has a reason that a person wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use toml::Value;

use super::workspace::{assert_none, manifest, members, root};

fn third_party() -> BTreeSet<String> {
    let manifest = manifest();
    let table = manifest["workspace"]["dependencies"]
        .as_table()
        .expect("workspace.dependencies is a table");
    table
        .iter()
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn every_dependency_has_its_row() {
    let page = fs::read_to_string(root().join("docs/dependencies.md"))
        .expect("docs/dependencies.md is there");
    let rows: BTreeMap<&str, &str> = page.lines().filter_map(row).collect();

    let users = users();
    let declared = third_party();
    let left_over = rows.keys().filter(|name| !declared.contains(**name));
    let mut findings: Vec<_> = left_over
        .map(|name| format!("{name} has a row and is not declared"))
        .collect();
    for (name, users) in &users {
        match rows.get(name.as_str()) {
            None => findings.push(format!("add `| {name} | {users} | why |`")),
            Some(named) if named != users => {
                findings.push(format!("{name} is used by `{users}`, not `{named}`"));
            }
            Some(_) => {}
        }
    }
    assert_none("docs/dependencies.md and the manifests differ", &findings);
}

/// Name and users of a table row that also says why.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .splitn(3, " | ");
    let (name, users, why) = (cells.next()?, cells.next()?, cells.next()?);
    (name != "name" && !name.starts_with('-') && !why.trim().is_empty()).then_some((name, users))
}

/// Each third-party crate with the folders whose manifest names it; `(dev)` where only tests and benches need it.
fn users() -> BTreeMap<String, String> {
    let third_party = third_party();
    let mut users: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for member in members() {
        for dependency in member
            .dependencies
            .iter()
            .filter(|dependency| third_party.contains(&dependency.name))
        {
            let only_tests = users
                .entry(dependency.name.clone())
                .or_default()
                .entry(member.folder.clone())
                .or_insert(true);
            *only_tests &= dependency.dev;
        }
    }
    let show = |(folder, only_tests)| {
        if only_tests {
            format!("{folder} (dev)")
        } else {
            folder
        }
    };
    let join =
        |folders: BTreeMap<_, _>| folders.into_iter().map(show).collect::<Vec<_>>().join(", ");
    users
        .into_iter()
        .map(|(name, folders)| (name, join(folders)))
        .collect()
}

#[test]
fn every_declared_dependency_is_used() {
    let used: BTreeSet<String> = members()
        .into_iter()
        .flat_map(|member| member.dependencies)
        .map(|dependency| dependency.name)
        .collect();
    let findings: Vec<_> = third_party().difference(&used).cloned().collect();
    assert_none(
        "declared in [workspace.dependencies] and used by no crate",
        &findings,
    );
}

#[test]
fn versions_stand_in_one_table() {
    let mut findings = Vec::new();
    for member in members() {
        for dependency in member
            .dependencies
            .iter()
            .filter(|dependency| !dependency.inherited)
        {
            findings.push(format!("{}: {}", member.folder, dependency.name));
        }
    }
    assert_none(
        "write `name.workspace = true` and the version into the root Cargo.toml",
        &findings,
    );
}

#[test]
fn lints_and_metadata_are_shared() {
    let mut findings = Vec::new();
    for member in members() {
        let text = fs::read_to_string(root().join(&member.folder).join("Cargo.toml"))
            .expect("a manifest is readable");
        let manifest: toml::Table = text.parse().expect("a manifest parses");
        let inherits = |section: &str, key: &str| {
            let value = manifest.get(section).and_then(|table| table.get(key));
            value.is_some_and(|value| {
                value == &Value::Boolean(true) || value.get("workspace").is_some()
            })
        };
        // The one crate that needs unsafe code for Python has to name its lints again.
        if member.name != "loom-sdk-native" && !inherits("lints", "workspace") {
            findings.push(format!(
                "{}: [lints] workspace = true is missing",
                member.folder
            ));
        }
        for key in ["version", "edition", "rust-version", "license"] {
            if !inherits("package", key) {
                findings.push(format!(
                    "{}: {key}.workspace = true is missing",
                    member.folder
                ));
            }
        }
    }
    assert_none("metadata that a crate repeats", &findings);
}

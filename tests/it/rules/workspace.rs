//! What the rules look at: the files of this repository and the manifests of its crates.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The root of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}

/// A text file of the repository.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

/// Every text file that is written by hand or generated and committed: no build output, no caches, no environments.
pub(super) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let path = entry
                .expect("an entry of the repository is readable")
                .path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                if !is_foreign(&path) {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push(Source {
                    path: relative(&path),
                    text,
                });
            }
        }
    }
    assert!(
        found.len() > 20,
        "only {} files under {}: the walk is broken",
        found.len(),
        root().display()
    );
    found
}

/// Build output and caches say so with a tag of their own; git and Python environments are known by their content.
fn is_foreign(folder: &Path) -> bool {
    const MARKS: [&str; 3] = ["CACHEDIR.TAG", "pyvenv.cfg", "HEAD"];
    const NAMES: [&str; 6] = [
        "__pycache__",
        "node_modules",
        "results",
        ".hypothesis",
        ".git",
        // The tag is cargo's own, and maturin may have made the folder before it.
        "target",
    ];
    MARKS.iter().any(|mark| folder.join(mark).exists())
        || folder
            .file_name()
            .is_some_and(|name| NAMES.iter().any(|foreign| name == *foreign))
}

fn relative(path: &Path) -> String {
    let path = path
        .strip_prefix(root())
        .expect("the walk starts at the root");
    path.to_string_lossy().replace('\\', "/")
}

/// One crate of the workspace.
pub(super) struct Member {
    pub folder: String,
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

/// A dependency as one manifest declares it.
pub(super) struct Dependency {
    /// The package's name, whatever it is renamed to.
    pub name: String,
    /// Needed by the tests of the crate only.
    pub dev: bool,
    /// Taken from `[workspace.dependencies]`.
    pub inherited: bool,
    pub features: Vec<String>,
}

/// The root manifest.
pub(super) fn manifest() -> Table {
    parse(&root().join("Cargo.toml"))
}

/// Every member of the workspace with what it depends on.
pub(super) fn members() -> Vec<Member> {
    let manifest = manifest();
    let folders = manifest["workspace"]["members"]
        .as_array()
        .expect("workspace.members is a list");
    folders
        .iter()
        .map(|folder| member(folder.as_str().expect("a member is a path")))
        .collect()
}

fn member(folder: &str) -> Member {
    let manifest = parse(&root().join(folder).join("Cargo.toml"));
    let mut dependencies = read_dependencies(&manifest);
    for target in manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
    {
        dependencies.extend(read_dependencies(
            target.as_table().expect("target.* is a table"),
        ));
    }
    Member {
        folder: folder.to_owned(),
        name: manifest["package"]["name"]
            .as_str()
            .expect("package.name is a string")
            .to_owned(),
        dependencies,
    }
}

fn read_dependencies(table: &Table) -> Vec<Dependency> {
    const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];
    let mut found = Vec::new();
    for section in SECTIONS {
        for (key, value) in table
            .get(section)
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            let features = value.get("features").and_then(Value::as_array);
            found.push(Dependency {
                name: value
                    .get("package")
                    .and_then(Value::as_str)
                    .unwrap_or(key)
                    .to_owned(),
                dev: section == "dev-dependencies",
                inherited: value
                    .get("workspace")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
                features: features
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            });
        }
    }
    found
}

fn parse(path: &PathBuf) -> Table {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with every finding at once, so that one run shows all there is to mend.
pub(super) fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
